// Command server runs a ReverseHttp gateway with its console and demos.
//
//	go run ./server
//
// It needs no flags and no files. README.md beside this file explains how to build and operate it.
// --help lists the flags, each of which is also an environment variable REVERSEHTTP_… and a member
// of the --config file. The command reversehttp gateway runs the same gateway.
package main

import (
	"os"

	"reversehttp/server/process"
)

func main() { os.Exit(process.Main("reversehttp", os.Args[1:])) }
