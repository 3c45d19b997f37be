package ecs

import "strings"

// DefendLacks reports whether the events of one of Elastic Defend's data streams surely don't have the field at path. stream is
// the name behind logs-endpoint.events: process, network, file, library, registry, security, api or device; others
// lack nothing that is known. Fields that processors and pipelines add to any event are never said to be lacking.
func DefendLacks(stream, path string) bool {
	switch stream {
	case "api", "device", "file", "library", "network", "process", "registry", "security":
	default:
		return false
	}
	top, _, _ := strings.Cut(path, ".")
	switch top {
	case "@timestamp", "agent", "cloud", "container", "data_stream", "ecs", "event", "host", "labels", "message", "observer",
		"orchestrator", "related", "tags", "user":
		return false
	}
	if !Known(path) {
		return false
	}
	if base, ok := strings.CutSuffix(path, ".text"); ok {
		path = base
	}
	path = strings.TrimSuffix(path, ".caseless")
	at := strings.Index(streamTable, "\n"+path+" ")
	if at < 0 {
		return true
	}
	streams, _, _ := strings.Cut(streamTable[at+len(path)+2:], "\n")
	return !strings.Contains(streams, stream[:1])
}
