// Command server runs a ReverseHttp gateway with its console and demos.
//
//	go run ./server
//
// It needs no flag and no file. README.md beside this file tells how it is
// built and operated; --help lists the flags, each of which is also an
// environment variable REVERSEHTTP_… and a member of the --config file. The
// command reversehttp has the same gateway as reversehttp gateway.
package main

import (
	"os"

	"reversehttp/server/process"
)

func main() { os.Exit(process.Main("reversehttp", os.Args[1:])) }
