package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// The rule ids of the planted rules, which find the events of the kinds Single and Second.
const (
	SingleRule   = "weir-bench-single"
	SequenceRule = "weir-bench-sequence"
)

// WritePlanted writes the two planted rules into a folder and returns their paths.
func WritePlanted(dir string) ([]string, error) {
	return write(dir, []ruleFile{
		{SingleRule, fmt.Sprintf(`process where event.type == "start" and process.name == %q`, singleName)},
		{SequenceRule, fmt.Sprintf("sequence by host.id, process.entity_id with maxspan=1m\n"+
			"  [process where event.type == \"start\" and process.name == %q]\n"+
			"  [network where event.action == \"connection_attempted\" and process.name == %q]", sequenceName, sequenceName)},
	})
}

// WriteSynthetic writes n made-up rules into a folder and returns their paths: two in three look for a program by
// name and arguments, the others for paths, ports and pairs of events. No generated event satisfies them, but many
// are candidates.
func WriteSynthetic(dir string, n int, seed uint64) ([]string, error) {
	rng := rand.New(rand.NewPCG(seed, 0x72756c6573))
	files := make([]ruleFile, n)
	for i := range files {
		files[i] = ruleFile{fmt.Sprintf("synthetic-%04d", i), synthetic(rng)}
	}
	return write(dir, files)
}

// synthetic makes up a query.
func synthetic(rng *rand.Rand) string {
	word := func() string { return fmt.Sprintf("%s%05d", choose(rng, words()), rng.IntN(100_000)) }
	sys, names := "linux", linuxNames()
	if rng.IntN(2) == 0 {
		sys, names = "windows", windowsNames()
	}
	program := func() string {
		return fmt.Sprintf(`event.type == "start" and process.name : (%q, %q) and process.args : ("*%s*", "--%s")`,
			choose(rng, names), choose(rng, names), word(), word())
	}
	switch rng.IntN(12) {
	case 0:
		return fmt.Sprintf(`file where host.os.type == %q and event.type != "deletion" and file.path : ("*/%s/*", "*\\%s\\*") and `+
			`not process.name : (%q, %q)`, sys, word(), word(), choose(rng, names), choose(rng, names))
	case 1:
		return fmt.Sprintf(`network where host.os.type == %q and process.name : (%q, %q) and destination.port == %d and `+
			`not cidrmatch(destination.ip, "10.0.0.0/8", "192.168.0.0/16")`, sys, choose(rng, names), choose(rng, names), 10_000+rng.IntN(50_000))
	case 2, 3:
		return fmt.Sprintf("sequence by host.id, process.entity_id with maxspan=1m\n  [process where host.os.type == %q and %s]\n"+
			"  [network where destination.port == %d]", sys, program(), 10_000+rng.IntN(50_000))
	default:
		return fmt.Sprintf(`process where host.os.type == %q and %s and not process.parent.name in (%q, %q)`,
			sys, program(), choose(rng, names), choose(rng, names))
	}
}

func choose(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }

func words() []string {
	return []string{"enc", "hidden", "bypass", "download", "shadow", "dump", "transfer", "reverse", "payload", "inject", "token", "tunnel", "wallet"}
}

func linuxNames() []string {
	return []string{"bash", "sh", "curl", "wget", "python3", "perl", "nc", "socat", "chmod", "insmod", "nginx", "node", "java", "find", "ssh", "tar"}
}

func windowsNames() []string {
	return []string{
		"cmd.exe", "powershell.exe", "rundll32.exe", "regsvr32.exe", "mshta.exe", "certutil.exe", "schtasks.exe", "svchost.exe",
		"chrome.exe", "net.exe", "reg.exe", "wmic.exe", "bitsadmin.exe", "msbuild.exe", "taskhostw.exe",
	}
}

// ruleFile is a rule in the format of detection-rules.
type ruleFile struct{ id, query string }

func write(dir string, files []ruleFile) ([]string, error) {
	paths := make([]string, len(files))
	for i, f := range files {
		var b strings.Builder
		fmt.Fprintf(&b, "[metadata]\ncreation_date = \"2026/11/27\"\nmaturity = \"production\"\nupdated_date = \"2026/11/27\"\n\n")
		fmt.Fprintf(&b, "[rule]\nauthor = [\"Weir\"]\ndescription = \"Made for a benchmark.\"\nfrom = \"now-9m\"\nindex = [\"logs-*\"]\n")
		fmt.Fprintf(&b, "language = \"eql\"\nlicense = \"Apache-2.0\"\nname = %q\nrisk_score = 21\nrule_id = %q\nseverity = \"low\"\n", f.id, f.id)
		fmt.Fprintf(&b, "type = \"eql\"\n\nquery = '''\n%s\n'''\n", f.query)
		paths[i] = filepath.Join(dir, f.id+".toml")
		if err := os.WriteFile(paths[i], []byte(b.String()), 0o600); err != nil {
			return nil, fmt.Errorf("bench rules: %w", err)
		}
	}
	return paths, nil
}
