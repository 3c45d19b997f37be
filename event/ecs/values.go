package ecs

// Values returns the values that ECS allows for the field at path, nil where it doesn't list them. ECS asks sources to
// use no others: https://www.elastic.co/docs/reference/ecs/ecs-category-field-values-reference for the event fields,
// https://www.elastic.co/docs/reference/ecs/ecs-os for the type of an operating system (ECS 9.5).
func Values(path string) []string {
	switch path {
	case "event.kind":
		return []string{"alert", "asset", "enrichment", "event", "metric", "pipeline_error", "signal", "state"}
	case "event.category":
		return []string{
			"api", "authentication", "configuration", "database", "driver", "email", "file", "host", "iam",
			"intrusion_detection", "library", "malware", "network", "package", "process", "registry", "session",
			"threat", "vulnerability", "web",
		}
	case "event.type":
		return []string{
			"access", "admin", "allowed", "change", "connection", "creation", "deletion", "denied", "device", "end",
			"error", "group", "indicator", "info", "installation", "protocol", "start", "user",
		}
	case "event.outcome":
		return []string{"failure", "success", "unknown"}
	case "host.os.type", "observer.os.type", "user_agent.os.type":
		return []string{"android", "ios", "linux", "macos", "unix", "windows"}
	default:
		return nil
	}
}

// LowerCase reports whether sources write the field at path in lower case. ECS says so of the network fields (their
// values must be normalised to lower case for querying), and all values that it lists are in lower case.
func LowerCase(path string) bool {
	switch path {
	case "network.application", "network.protocol", "network.transport", "network.type",
		"tls.version_protocol", "tls.next_protocol":
		return true
	default:
		return Values(path) != nil
	}
}
