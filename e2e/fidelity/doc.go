// Package fidelity holds tests only. Each serves the very same [net/http.Handler] twice, by net/http and by sdk-go
// through a gateway, and compares what a visitor gets from the one and from the other. README.md lists them.
package fidelity
