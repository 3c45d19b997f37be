package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/goccy/go-json"
	"github.com/spf13/cobra"
)

// build describes the binary.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func newVersionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version and how the binary was built",
		Args:  noArgs,
	}
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(*cobra.Command, []string) error {
		b := readBuild()
		if *format == "json" {
			return json.NewEncoder(a.stdout).Encode(b)
		}
		_, err := fmt.Fprintf(a.stdout, "weir %s (%s, %s)\n", b.Version, b.Go, b.Platform)
		if err == nil && b.Revision != "" {
			dirty := ""
			if b.Modified {
				dirty = ", modified"
			}
			_, err = fmt.Fprintf(a.stdout, "revision %s of %s%s\n", b.Revision, b.Time, dirty)
		}
		return err
	}
	return cmd
}
