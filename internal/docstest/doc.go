// Package docstest holds the tests that keep docs and deploy true: the tables of settings and metrics are made from
// the code, and dashboards and alarms may only name metrics that exist. It has no code of its own.
package docstest
