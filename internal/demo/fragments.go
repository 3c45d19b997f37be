package demo

import "fmt"

// Versions that the documents name.
const (
	agentVersion = "9.3.1"
	kernel       = "6.8.0-1021-gke"
)

// prepare renders the parts of the node's documents that never change.
func (n *node) prepare(w *world) {
	mac := fmt.Sprintf("42-01-0A-14-%02X-%02X", n.index/200, 10+n.index%200)
	bootID := w.uuid()
	n.agents[endpoint].head = fmt.Appendf(nil,
		`"agent":{"id":"%s","type":"endpoint","version":"%s"},"ecs":{"version":"8.10.0"},`, n.agents[endpoint].id, agentVersion)
	n.agents[cloudDefend].head = fmt.Appendf(nil,
		`"agent":{"ephemeral_id":"%s","id":"%s","name":"%s","type":"cloud-defend","version":"%s"},"ecs":{"version":"8.10.0"},`,
		w.uuid(), n.agents[cloudDefend].id, n.name, agentVersion)
	n.hostJSON[endpoint] = fmt.Appendf(nil,
		`"host":{"architecture":"x86_64","hostname":"%[1]s","id":"%[2]s","ip":["%[3]s","fe80::4001:aff:fe14:%[5]x","127.0.0.1","::1"],`+
			`"mac":["%[4]s"],"name":"%[1]s","os":{"Ext":{"variant":"Ubuntu"},"family":"ubuntu","full":"Ubuntu 24.04.1",`+
			`"kernel":"%[6]s #24-Ubuntu SMP","name":"Linux","platform":"ubuntu","type":"linux","version":"24.04.1"}},`,
		n.name, n.id, n.ip, mac, 10+n.index, kernel)
	n.hostJSON[cloudDefend] = fmt.Appendf(nil,
		`"host":{"architecture":"x86_64","boot":{"id":"%[6]s"},"hostname":"%[1]s","id":"%[2]s","ip":["%[3]s"],"mac":["%[4]s"],"name":"%[1]s",`+
			`"os":{"family":"debian","kernel":"%[5]s","name":"Ubuntu","platform":"ubuntu","type":"linux","version":"24.04.1 LTS (Noble Numbat)"}},`,
		n.name, n.id, n.ip, mac, kernel, bootID)
	n.cloudJSON = fmt.Appendf(nil,
		`"cloud":{"account":{"id":"shop-prod-4711"},"instance":{"id":"%d","name":"%s"},"provider":"gcp","region":"europe-west4"},`,
		7_000_000_000_000_000_000+uint64(w.rng.Uint32()), n.name)
}

// containerJSON renders what a container's documents say of the container and its pod.
func containerJSON(c *container, im image, pod, digest string) []byte {
	b := fmt.Appendf(nil,
		`"container":{"id":"%s","image":{"name":"%s","tag":["%s"]`, c.id, im.imageName(), im.tag)
	if im.sensor == endpoint {
		b = fmt.Appendf(b, `,"hash":{"all":["sha256:%s"]}},"name":"%s"`, digest, im.name)
	} else {
		b = fmt.Appendf(b, `},"name":"%s"`, im.name)
		b = fmt.Appendf(b, `,"runtime":"containerd","security_context":{"privileged":%t}`, im.privileged)
	}
	b = fmt.Appendf(b,
		`},"orchestrator":{"cluster":{"id":"%s","name":"%s"},"namespace":"%s","resource":{"ip":["%s"],"name":"%s","parent":{"type":"%s"},"type":"pod"`,
		clusterID, clusterName, im.namespace, c.ip, pod, im.owner)
	if im.sensor == cloudDefend {
		b = fmt.Appendf(b, `,"label":{"app.kubernetes.io/name":"%s"}`, im.app)
	}
	return append(b, `}},`...)
}

// imageName returns the image's name as the sensor writes it: Elastic Defend has the tag in it.
func (im image) imageName() string {
	if im.sensor == endpoint {
		return im.repo + ":" + im.tag
	}
	return im.repo
}
