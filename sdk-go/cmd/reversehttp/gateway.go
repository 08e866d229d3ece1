package main

import (
	"errors"
	"io"

	"github.com/alecthomas/kong"

	"reversehttp/server/process"
)

// gatewayName is the command that runs a gateway. main hands it over before it parses anything: a gateway has flags
// of its own, of which some have names that other commands have too.
const gatewayName = "gateway"

// gatewayRun is what the help and the completions know of that command.
type gatewayRun struct {
	Flags []string `arg:"" optional:"" help:"Flags of the gateway. reversehttp gateway --help lists them."`
}

func (*gatewayRun) do(io.Writer, io.Writer) error {
	return &failure{exitUsage, errors.New("gateway takes flags of its own: give them after it, and none before, as in reversehttp gateway --listen 127.0.0.1:8080")}
}

// gatewayFlags returns the flags of the gateway.
func gatewayFlags() []*kong.Flag {
	flags, err := process.Flags()
	if err != nil {
		panic(err) // a mistake in the tags of its options
	}
	return flags
}
