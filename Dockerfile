# syntax=docker/dockerfile:1
# Base images are pinned by version. To pin them to their bytes too, add the digest that
# `docker buildx imagetools inspect IMAGE` prints: IMAGE:VERSION@sha256:…
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
# With .git, so that `weir version` knows what it was built from.
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/weir ./cmd/weir && mkdir /out/state

# Its wget is what health checks call; a busybox does what its name says.
FROM busybox:1.37.0-musl AS busybox

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=busybox /bin/busybox /bin/wget
COPY --from=build --chown=65532:65532 /out/state /var/lib/weir
COPY --from=build /out/weir /bin/weir
USER 65532:65532
# The local state: a cache of what is in Kafka. A volume of its own makes restarts fast.
VOLUME /var/lib/weir
EXPOSE 8686
ENTRYPOINT ["/bin/weir"]
CMD ["run", "-c", "/etc/weir/weir.yaml"]
