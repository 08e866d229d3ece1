// Package h2spec holds the gateway's HTTP/2 against net/http's, case by case.
// It has tests only.
//
//	go test -v ./e2e/h2spec
package h2spec
