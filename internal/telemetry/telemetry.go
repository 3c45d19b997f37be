// Package telemetry serves metrics, health and, where it is asked for, profiles over HTTP. It knows nothing of what the
// process does beyond whether it is ready.
package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry of its own that holds the metrics of the Go runtime and of the process.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// Options configure a Server.
type Options struct {
	// Address is host:port; port 0 takes a free one.
	Address string
	// Pprof adds /debug/pprof/.
	Pprof bool
	// Gatherer gives the metrics.
	Gatherer prometheus.Gatherer
	// Ready reports whether the process is ready, with a word on what it is doing. It must be safe for concurrent use.
	Ready func() (ready bool, status string)
	// Documents are served as JSON, by path, such as "/restore". The functions must be safe for concurrent use.
	Documents map[string]func() any
	// Logger is told the address that is listened on and what goes wrong while serving. Nil discards.
	Logger *slog.Logger
}

// Server serves /metrics, /healthz, /readyz and the documents of its options.
type Server struct {
	o Options
}

// New returns a server that does nothing yet.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o}
}

// shutdown is how long requests may take to end after the server was told to stop.
const shutdown = 2 * time.Second

// Run listens and serves until ctx ends, then lets requests finish and returns nil.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", s.o.Address)
	if err != nil {
		return fmt.Errorf("http server: %w", err)
	}
	return s.Serve(ctx, listener)
}

// Serve is Run on a listener, which it closes.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelWarn),
	}
	s.o.Logger.Info("serving metrics and health", slog.String("address", listener.Addr().String()))
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
		defer cancel()
		stopped <- server.Shutdown(wait)
	})
	err := server.Serve(listener)
	if stop() { // it ended by itself
		return fmt.Errorf("http server: %w", err)
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("http server: %w", err)
	}
	return nil
}

// Handler returns what the server serves.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.o.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready, status := s.o.Ready()
		code := http.StatusOK
		if !ready {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, status)
	})
	for path, document := range s.o.Documents {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			s.answerJSON(w, document())
		})
	}
	if s.o.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// answer writes a line of text. A client that is gone is no trouble of ours.
func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n")
}

// answerJSON writes a document.
func (s *Server) answerJSON(w http.ResponseWriter, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		s.o.Logger.Error("document not served", slog.Any("error", err))
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(body, '\n'))
}
