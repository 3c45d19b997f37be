//go:build unix

package chaos

import (
	"fmt"
	"time"
)

// The rules and stories of this file are about several hosts, which are on different partitions mostly. None of the rules' join keys
// implies the host, so that the members bring their events together by way of the re-key topic.

func byUser(e *Event) string { return e.user }

func byPath(e *Event) string { return e.path }

func travelDetections() []detection {
	return []detection{{
		id: "account-on-two-hosts",
		query: `sequence by user.name with maxspan=12s
  [process where event.type == "start" and process.name == "psexec"]
  [process where event.type == "start" and process.name == "psexesvc"]`,
		maxspan: 12 * time.Second, by: byUser,
		stages: []bracket{{hits: started("psexec")}, {hits: started("psexesvc")}},
	}, {
		id: "account-on-two-hosts-by-created",
		query: `sequence by user.name with maxspan=12s
  [process where event.type == "start" and process.name == "psexec"]
  [process where event.type == "start" and process.name == "psexesvc"]`,
		maxspan: 12 * time.Second, by: byUser, created: true,
		stages: []bracket{{hits: started("psexec")}, {hits: started("psexesvc")}},
	}, {
		id: "account-spreads",
		query: `sequence by user.name with maxspan=15s
  [process where event.type == "start" and process.name == "wmic"]
  [file where event.type == "creation" and process.name == "wmiprvse"]
  [network where destination.port == 5985]
  until [process where event.type == "end" and process.name == "wmic"]`,
		maxspan: 15 * time.Second, by: byUser, until: endedOf("wmic"),
		stages: []bracket{{hits: started("wmic")}, {hits: fileKind("creation", "wmiprvse")}, {hits: connected(5985)}},
	}, {
		id: "accounts-sprayed",
		query: `sequence by user.name with maxspan=10s
  [process where event.type == "start" and process.name == "runas"] with runs=3
  [process where event.type == "end" and process.name == "runas"]`,
		maxspan: 10 * time.Second, by: byUser,
		stages: []bracket{{hits: started("runas"), runs: 3}, {hits: endedOf("runas")}},
	}, {
		id: "desktop-without-login",
		query: `sequence by user.name with maxspan=2s
  [process where event.type == "start" and process.name == "mstsc"]
  ![process where event.type == "start" and process.name == "rdpclip"]`,
		maxspan: 2 * time.Second, by: byUser,
		stages: []bracket{{hits: started("mstsc")}, {hits: started("rdpclip"), missing: true}},
	}, {
		id: "shared-file-run",
		query: `sequence with maxspan=10s
  [file where event.type == "creation" and process.name == "smbd"] by file.path
  [file where event.type == "deletion" and process.name == "explorer"] by file.path`,
		maxspan: 10 * time.Second,
		stages:  []bracket{{hits: fileKind("creation", "smbd"), by: byPath}, {hits: fileKind("deletion", "explorer"), by: byPath}},
	}, {
		id: "account-gathers",
		query: `sample by user.name
  [process where event.type == "start" and process.name == "ntdsutil"]
  [process where event.type == "start" and process.name == "rar"]
  [network where destination.port == 9002]`,
		by: byUser, sample: true,
		stages: []bracket{{hits: started("ntdsutil")}, {hits: started("rar")}, {hits: connected(9002)}},
	}}
}

// travel is a story of several hosts. Their clocks are near enough to each other, and so are those of all hosts where any key does.
func (w *writer) travel(at time.Duration) {
	s := w.begin(at, w.steadyHost())
	s.user = "w" + s.marker
	stories := []func(*story){w.remote, w.remote, w.remote, w.spreads, w.spreads, w.spreads, w.sprayed, w.desktop, w.desktop, w.share, w.collect}
	stories[w.rnd.IntN(len(stories))](s)
}

func (w *writer) steadyHost() string { return w.steady[w.rnd.IntN(len(w.steady))] }

// elsewhere goes on on any host after a while, most often on another one.
func (s *story) elsewhere(gap time.Duration) *story {
	s.host = s.w.steadyHost()
	return s.later(gap)
}

// remote has one account in several stories, so that they run into each other.
func (w *writer) remote(s *story) {
	if w.rnd.IntN(2) == 0 {
		s.user = fmt.Sprintf("admin%d", w.rnd.IntN(3))
	}
	s.start("psexec")
	for range 1 + w.rnd.IntN(2) {
		s.elsewhere(w.gap()).start("psexesvc")
	}
}

func (w *writer) spreads(s *story) {
	s.start("wmic")
	if w.rnd.IntN(6) == 0 {
		s.elsewhere(w.gap()).end("wmic")
	}
	s.elsewhere(w.gap()).write("wmiprvse", "/srv/"+s.marker)
	if w.rnd.IntN(6) == 0 {
		s.elsewhere(w.gap()).end("wmic")
	}
	s.elsewhere(w.gap()).connect("powershell", 5985)
}

func (w *writer) sprayed(s *story) {
	for range 2 + w.rnd.IntN(3) {
		s.elsewhere(w.between(1, 900)).start("runas")
	}
	s.elsewhere(w.gap()).end("runas")
}

// desktop is logged in to in time, too late, at the last millisecond, or not at all. The hosts' clocks are taken into account: it is
// what they say that counts.
func (w *writer) desktop(s *story) {
	s.later(2 * drift).start("mstsc")
	from := w.script.skew[s.host]
	s.host = w.steadyHost()
	clocks := from - w.script.skew[s.host]
	switch w.rnd.IntN(4) {
	case 0:
		s.later(w.between(700, 1300)).start("rdpclip")
	case 1:
		s.later(w.between(2700, 3500)).start("rdpclip")
	case 2:
		s.later(2*time.Second + clocks + time.Duration(w.rnd.IntN(2))*time.Millisecond).start("rdpclip")
	default:
	}
}

// share has two events of one millisecond on two hosts, whose order event.sequence tells, or their partitions.
func (w *writer) share(s *story) {
	first, second := 1, 2
	switch w.rnd.IntN(3) {
	case 0:
		first, second = 0, 0
	case 1:
		first, second = 2, 1
	default:
	}
	path := "/share/" + s.marker
	e := Event{category: "file", kind: "creation", name: "smbd", path: path, sequence: first, once: first == 0}
	s.later(2 * drift).add(e)
	clocks := w.script.skew[s.host]
	s.host = w.steadyHost()
	clocks -= w.script.skew[s.host]
	e.kind, e.name, e.sequence = "deletion", "explorer", second
	s.later(clocks).add(e)
}

// collect makes the events of a sample on hosts of any kind, in any order.
func (w *writer) collect(s *story) {
	stages := []func(){func() { s.start("ntdsutil") }, func() { s.start("rar") }, func() { s.connect("rar", 9002) }}
	w.rnd.Shuffle(len(stages), func(i, j int) { stages[i], stages[j] = stages[j], stages[i] })
	for _, stage := range stages {
		s.elsewhere(w.gap())
		stage()
	}
}

// key is the key of an event's record on the topic: its host, or something else of which a copy has the same.
func (s *script) key(e *Event) string {
	if s.joins == joinsAnyKey {
		return e.id
	}
	return e.host
}
