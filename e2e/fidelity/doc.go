// Package fidelity has only tests. Each serves one [net/http.Handler] twice, by net/http and by sdk-go through a
// gateway, and compares the responses. README.md lists them.
package fidelity
