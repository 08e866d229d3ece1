package main

import (
	"errors"
	"io"

	"github.com/alecthomas/kong"

	"reversehttp/server/process"
)

// gatewayName is the command that runs a gateway. main handles it before parsing anything, because
// some flags of a gateway have the same names as flags of other commands.
const gatewayName = "gateway"

// gatewayRun describes that command in the help and the completions.
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
