// Command conformance plays the vectors of the protocol against a gateway, or against a client through a gateway, and prints a report.
//
//	go run ./schema/conformance http://localhost:8080
//	go run ./schema/conformance http://localhost:8080 python3 my_client.py
//
// README.md describes the duties of a client, and the cases that are played. The command reversehttp includes this one.
package main

import (
	"os"

	"reversehttp/schema/conformance/kit"
)

func main() { os.Exit(kit.Main("conformance", os.Args[1:])) }
