package main

import (
	"errors"
	"io"

	"github.com/alecthomas/kong"

	"reversehttp/schema/conformance/kit"
	"reversehttp/server/process"
)

// The commands with flags of their own: one runs a gateway, the other plays the vectors. main
// handles them before parsing anything, because some of these flags have the same names as flags of
// other commands.
const (
	gatewayName     = "gateway"
	conformanceName = "conformance"
)

// gatewayRun describes that command in the help and the completions.
type gatewayRun struct {
	Flags []string `arg:"" optional:"" help:"Flags of the gateway. reversehttp gateway --help lists them."`
}

func (*gatewayRun) do(io.Writer, io.Writer) error {
	return &failure{exitUsage, errors.New("gateway takes flags of its own: give them after it, and none before, as in reversehttp gateway --listen 127.0.0.1:8080")}
}

// conformanceRun describes that command in the help and the completions.
type conformanceRun struct {
	Arguments []string `arg:"" help:"URL of a gateway, then the command that starts a client, if a client is judged. Flags come first: reversehttp conformance --help lists them."`
}

func (*conformanceRun) do(io.Writer, io.Writer) error {
	return &failure{exitUsage, errors.New("conformance takes flags of its own: give them after it, and none before, as in reversehttp conformance --json http://localhost:8080")}
}

// ownFlags returns the flags of a command that has only its own; nil for any other.
func ownFlags(name string) []*kong.Flag {
	switch name {
	case conformanceName:
		return kit.Flags()
	case gatewayName:
		flags, err := process.Flags()
		if err != nil {
			panic(err) // a mistake in the tags of its options
		}
		return flags
	}
	return nil
}
