package telemetry_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/internal/telemetry"
)

func get(t *testing.T, h http.Handler, method, path string) (code int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
	return w.Code, w.Body.String()
}

func TestHandler(t *testing.T) {
	reg := telemetry.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_test_total", Help: "A test."})
	reg.MustRegister(counter)
	counter.Add(3)
	ready, status := false, "restoring state"
	o := telemetry.Options{Gatherer: reg, Ready: func() (bool, string) { return ready, status }}
	h := telemetry.New(o).Handler()
	o.Documents = map[string]func() any{
		"/restore": func() any { return []map[string]int{{"partition": 3}} }, "/bad": func() any { return func() {} },
	}
	documents := telemetry.New(o).Handler()
	o.Pprof = true
	profiled := telemetry.New(o).Handler()

	tests := []struct {
		name         string
		handler      http.Handler
		method, path string
		ready        bool
		code         int
		body         string
	}{
		{"health", h, http.MethodGet, "/healthz", false, 200, "ok\n"},
		{"not ready", h, http.MethodGet, "/readyz", false, 503, "restoring state\n"},
		{"ready", h, http.MethodGet, "/readyz", true, 200, "running\n"},
		{"own metrics", h, http.MethodGet, "/metrics", true, 200, "weir_test_total 3\n"},
		{"runtime's metrics", h, http.MethodGet, "/metrics", true, 200, "go_goroutines "},
		{"process' metrics", h, http.MethodGet, "/metrics", true, 200, "process_cpu_seconds_total "},
		{"nothing else", h, http.MethodGet, "/", true, 404, ""},
		{"a document", documents, http.MethodGet, "/restore", true, 200, `[{"partition":3}]`},
		{"a document that isn't one", documents, http.MethodGet, "/bad", true, 500, "internal error"},
		{"no profiles", h, http.MethodGet, "/debug/pprof/", true, 404, ""},
		{"profiles", profiled, http.MethodGet, "/debug/pprof/", true, 200, "goroutine"},
		{"a profile", profiled, http.MethodGet, "/debug/pprof/cmdline", true, 200, ""},
		{"reading only", h, http.MethodPost, "/healthz", true, 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if ready = tt.ready; ready {
				status = "running"
			} else {
				status = "restoring state"
			}
			code, body := get(t, tt.handler, tt.method, tt.path)
			if code != tt.code || !strings.Contains(body, tt.body) {
				t.Errorf("%s %s = %d %q, want %d with %q", tt.method, tt.path, code, body, tt.code, tt.body)
			}
		})
	}
}

// TestServe runs the server and ends it by its context.
func TestServe(t *testing.T) {
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := telemetry.New(telemetry.Options{
		Gatherer: telemetry.NewRegistry(), Ready: func() (bool, string) { return true, "running" },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listener) }()
	resp, err := http.Get("http://" + listener.Addr().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != "running\n" {
		t.Errorf("body = %q, %v", body, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}

// TestRunOccupied shows that an address that is taken is an error.
func TestRunOccupied(t *testing.T) {
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := telemetry.New(telemetry.Options{Address: listener.Addr().String(), Gatherer: telemetry.NewRegistry()})
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Run = %v, want an address that is in use", err)
	}
}
