// Package h2spec compares the gateway's HTTP/2 with that of net/http, case by case. It has only tests.
//
//	go test -v ./e2e/h2spec
package h2spec
