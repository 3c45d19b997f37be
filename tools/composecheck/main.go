// Command composecheck loads a Compose file as Docker Compose does, against the schema of the Compose specification,
// and holds it to the rules of this repository: each image is pinned, each service has a health check or runs once,
// waits for what it needs by condition, and each file that is mounted exists.
//
// Usage: composecheck FILE
//
// It is a module of its own, so that the loader's dependencies are not those of weir.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 0 fine, 1 problems found, 2 wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) != 1 {
		_, _ = fmt.Fprintln(stderr, "usage: composecheck FILE")
		return 2
	}
	project, err := load(ctx, args[0])
	if err == nil {
		err = check(project)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	_, _ = fmt.Fprintf(stdout, "%s: %d services, fine: %s\n", args[0], len(project.Services), strings.Join(project.ServiceNames(), ", "))
	return 0
}

// load reads the file with the loader that Compose itself uses, and without the environment of this process.
func load(ctx context.Context, file string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithName("weir"), cli.WithConsistency(true))
	if err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", file, err)
	}
	return project, nil
}

// check returns all that is wrong.
func check(project *types.Project) error {
	var problems []error
	for _, name := range project.ServiceNames() {
		s := project.Services[name]
		for _, problem := range slices.Concat(checkImage(s), checkHealth(project, s), checkMounts(s)) {
			problems = append(problems, fmt.Errorf("service %s: %s", name, problem))
		}
	}
	return errors.Join(problems...)
}

// pinned is an image with a version: at least major and minor, not a name that moves, or a digest.
var pinned = regexp.MustCompile(`^[^:@]+(:[0-9]+/[^:@]+)?(:v?[0-9]+\.[0-9][0-9A-Za-z.-]*)?(@sha256:[0-9a-f]{64})?$`)

func checkImage(s types.ServiceConfig) []string {
	switch {
	case s.Build != nil:
		return nil
	case s.Image == "":
		return []string{"neither image nor build"}
	case !pinned.MatchString(s.Image) || !strings.ContainsAny(s.Image, ":@"):
		return []string{fmt.Sprintf("image %s is not pinned to a version", s.Image)}
	}
	return nil
}

// checkHealth wants a health check of what keeps running, and that nobody waits for less than the service can tell.
func checkHealth(project *types.Project, s types.ServiceConfig) []string {
	var problems []string
	once := s.Restart == "" || s.Restart == "no"
	// A check that is switched off was thought about; one that is missing was forgotten.
	decided := s.HealthCheck != nil && (s.HealthCheck.Disable || len(s.HealthCheck.Test) > 0)
	if !once && !decided {
		problems = append(problems, "keeps running and has no health check")
	}
	for _, needed := range s.GetDependencies() {
		condition := s.DependsOn[needed].Condition
		other := project.Services[needed]
		runsOnce := other.Restart == "" || other.Restart == "no"
		switch {
		case runsOnce && condition != types.ServiceConditionCompletedSuccessfully:
			problems = append(problems, fmt.Sprintf("depends on %s, which runs once, with condition %s", needed, condition))
		case !runsOnce && (condition != types.ServiceConditionHealthy || other.HealthCheck == nil || other.HealthCheck.Disable):
			problems = append(problems, fmt.Sprintf("depends on %s, which keeps running, with condition %s, or without a health check", needed, condition))
		}
	}
	return problems
}

// checkMounts wants each file and folder of the repository that is mounted to be there, and to be read-only.
func checkMounts(s types.ServiceConfig) []string {
	var problems []string
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil {
			problems = append(problems, fmt.Sprintf("mount %s: %v", v.Target, err))
		}
		if !v.ReadOnly {
			problems = append(problems, fmt.Sprintf("mount %s: %s can be written", v.Target, v.Source))
		}
	}
	return problems
}
