package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/internal/fields"
)

// fieldsFlag adds the flag that names files of declared fields.
func fieldsFlag(cmd *cobra.Command) *[]string {
	return cmd.Flags().StringArray("fields", nil,
		"file with the types of fields of your own: path: type in YAML, or an Elasticsearch mapping in JSON; repeat it for more")
}

// readFields reads files of declared fields; where two declare one field the later file wins. Without files it declares nothing.
func readFields(paths []string) (*fields.Table, error) {
	t := &fields.Table{}
	for _, p := range paths {
		if err := t.Read(p); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// declaredFields are the fields that a configuration declares, and those of files that a flag names beside it, which win.
func declaredFields(c *config.Config, paths []string) (*fields.Table, error) {
	t, err := readFields(c.FieldsFiles)
	if err != nil {
		return nil, err
	}
	for path, typ := range c.Fields {
		if err := t.Add(path, typ); err != nil {
			return nil, fmt.Errorf("fields: %w", err)
		}
	}
	for _, p := range paths {
		if err := t.Read(p); err != nil {
			return nil, err
		}
	}
	return t, nil
}
