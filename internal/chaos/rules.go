//go:build unix

package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// detection is a rule of the runs twice: as the text that the members load, and as the harness reads it itself.
type detection struct {
	id      string
	query   string
	maxspan time.Duration
	stages  []bracket
	until   func(*Event) bool
	by      func(*Event) string // join key of an event; nil where the stages have their own
	sample  bool                // stages in any order, all of one join key
	created bool                // ordered by event.created
}

// bracket is one stage.
type bracket struct {
	hits    func(*Event) bool
	by      func(*Event) string // nil: the detection's
	runs    int                 // 0 is once
	missing bool
}

func isProcess(e *Event, kind string, names ...string) bool {
	return e.category == "process" && e.kind == kind && slices.Contains(names, e.name)
}

func started(names ...string) func(*Event) bool {
	return func(e *Event) bool { return isProcess(e, "start", names...) }
}

func endedOf(name string) func(*Event) bool {
	return func(e *Event) bool { return isProcess(e, "end", name) }
}

func connected(port int) func(*Event) bool {
	return func(e *Event) bool { return e.category == "network" && e.port == port }
}

func wrote(prefix string) func(*Event) bool {
	return func(e *Event) bool { return e.category == "file" && strings.HasPrefix(strings.ToLower(e.path), prefix) }
}

func wroteExactly(path string) func(*Event) bool {
	return func(e *Event) bool { return e.category == "file" && e.path == path }
}

func loggedIn(outcome string) func(*Event) bool {
	return func(e *Event) bool { return e.category == "authentication" && e.outcome == outcome }
}

func fileKind(kind, name string) func(*Event) bool {
	return func(e *Event) bool { return e.category == "file" && e.kind == kind && e.name == name }
}

func byEntity(e *Event) string { return e.entity }

func byHost(e *Event) string { return e.host }

func byHostAndUser(e *Event) string { return e.host + " " + e.user }

func byHostAndEntity(e *Event) string { return e.host + " " + e.entity }

func byParent(e *Event) string { return e.parent }

// detections are the rules of a run. Each query stands beside what it means; the two share nothing.
func detections(j joins) []detection {
	all := append(simpleDetections(), awkwardDetections()...)
	if j != joinsHosts {
		all = append(all, travelDetections()...)
	}
	return all
}

func simpleDetections() []detection {
	return []detection{{
		id:     "shell-over-network",
		query:  `process where event.type == "start" and process.name == "nc" and process.args == "-e"`,
		stages: []bracket{{hits: started("nc")}},
	}, {
		id: "download-then-connect",
		query: `sequence by process.entity_id with maxspan=20s
  [process where event.type == "start" and process.name in ("curl", "wget")]
  [network where destination.port == 4444]`,
		maxspan: 20 * time.Second, by: byEntity,
		stages: []bracket{{hits: started("curl", "wget")}, {hits: connected(4444)}},
	}, {
		id: "drop-run-connect",
		query: `sequence by host.id with maxspan=15s
  [process where event.type == "start" and process.name == "bash"]
  [file where file.path : "/tmp/*"]
  [network where destination.port == 8443]
  until [process where event.type == "end" and process.name == "bash"]`,
		maxspan: 15 * time.Second, by: byHost, until: endedOf("bash"),
		stages: []bracket{{hits: started("bash")}, {hits: wrote("/tmp/")}, {hits: connected(8443)}},
	}, {
		id: "ssh-key-written",
		query: `sequence by process.entity_id with maxspan=20s
  [process where event.type == "start" and process.name == "ssh-keygen"]
  [file where file.path : "/root/.ssh/*"]
  until [process where event.type == "end" and process.name == "ssh-keygen"]`,
		maxspan: 20 * time.Second, by: byEntity, until: endedOf("ssh-keygen"),
		stages: []bracket{{hits: started("ssh-keygen")}, {hits: wrote("/root/.ssh/")}},
	}, {
		id: "password-guessed",
		query: `sequence by host.id, user.name with maxspan=10s
  [authentication where event.outcome == "failure"] with runs=3
  [authentication where event.outcome == "success"]`,
		maxspan: 10 * time.Second, by: byHostAndUser,
		stages: []bracket{{hits: loggedIn("failure"), runs: 3}, {hits: loggedIn("success")}},
	}}
}

func awkwardDetections() []detection {
	return []detection{{
		id: "backup-without-upload",
		query: `sequence by process.entity_id with maxspan=2s
  [process where event.type == "start" and process.name == "tar"]
  ![network where destination.port == 443]`,
		maxspan: 2 * time.Second, by: byEntity,
		stages: []bracket{{hits: started("tar")}, {hits: connected(443), missing: true}},
	}, {
		id: "mail-without-audit",
		query: `sequence by process.entity_id with maxspan=12s
  [process where event.type == "start" and process.name == "gpg"]
  ![file where file.path == "/var/log/audit.log"]
  [network where destination.port == 25]`,
		maxspan: 12 * time.Second, by: byEntity,
		stages: []bracket{
			{hits: started("gpg")}, {hits: wroteExactly("/var/log/audit.log"), missing: true}, {hits: connected(25)},
		},
	}, {
		id: "written-and-gone", // both at one millisecond, told apart by event.sequence
		query: `sequence by process.entity_id with maxspan=5s
  [file where event.type == "creation" and process.name == "mv"]
  [file where event.type == "deletion" and process.name == "mv"]`,
		maxspan: 5 * time.Second, by: byEntity,
		stages: []bracket{{hits: fileKind("creation", "mv")}, {hits: fileKind("deletion", "mv")}},
	}, {
		id: "child-of-login",
		query: `sequence with maxspan=12s
  [process where event.type == "start" and process.name == "sshd"] by process.entity_id
  [process where event.type == "start" and process.name == "sh"] by process.parent.entity_id`,
		maxspan: 12 * time.Second,
		stages:  []bracket{{hits: started("sshd"), by: byEntity}, {hits: started("sh"), by: byParent}},
	}, {
		id: "credentials-gathered",
		query: `sample by host.id, process.entity_id
  [file where file.path == "/etc/passwd"]
  [file where file.path == "/etc/shadow"]
  [file where file.path : "/etc/*"]
  [network where destination.port == 9001]`,
		by: byHostAndEntity, sample: true,
		stages: []bracket{
			{hits: wroteExactly("/etc/passwd")}, {hits: wroteExactly("/etc/shadow")}, {hits: wrote("/etc/")}, {hits: connected(9001)},
		},
	}}
}

// writeRule writes a rule file, which is there as a whole or not at all.
func writeRule(dir, id, query string, created bool) error {
	field := ""
	if created {
		field = "timestamp_field = \"event.created\"\n"
	}
	text := fmt.Sprintf("[metadata]\nmaturity = \"production\"\n\n[rule]\nauthor = [\"Weir\"]\ndescription = \"A rule of the tests.\"\n"+
		"index = [\"logs-endpoint.events.*\"]\nlanguage = \"eql\"\nlicense = \"Apache-2.0\"\nname = %q\nrisk_score = 47\nrule_id = %q\n"+
		"severity = \"medium\"\ntype = \"eql\"\n%squery = '''\n%s\n'''\n", id, id, field, query)
	name := filepath.Join(dir, id+".toml")
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// writeRules writes all rules, and one that no event of the script completes and that is another at each turn: with the
// change of any file the members load all of them again.
func writeRules(dir string, rules []detection, turn int) error {
	for _, d := range rules {
		if err := writeRule(dir, d.id, fmt.Sprintf("%s // %d", d.query, turn), d.created); err != nil {
			return err
		}
	}
	return writeRule(dir, "unused", fmt.Sprintf(`sequence by process.entity_id with maxspan=%ds
  [any where labels.turn%d == "x"]
  [network where destination.port == 4444]`, 5+turn%30, turn), false)
}
