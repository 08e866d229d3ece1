package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"reversehttp/server/process"
)

// defaultGateway is the default of --gateway.
const defaultGateway = "http://localhost:8080"

// options are the commands and flags. Flags of all commands come first.
type options struct {
	Gateway   string        `default:"${gateway}" env:"REVERSEHTTP_GATEWAY" placeholder:"URL" help:"Gateway to claim at. Default: ${gateway}."`
	CA        authority     `name:"ca" env:"REVERSEHTTP_CA" placeholder:"FILE" help:"PEM file with the gateway's certificate or its CA, trusted in addition to those of the system."`
	Label     string        `short:"l" env:"REVERSEHTTP_LABEL" help:"Name to claim. Default: the gateway picks one."`
	Token     string        `env:"REVERSEHTTP_TOKEN" help:"Secret that owns the label. With it the label is yours after a restart; in the environment it is in no list of processes. Default: the gateway mints one, which is kept for the next start."`
	TokenFile secretFile    `env:"REVERSEHTTP_TOKEN_FILE" placeholder:"FILE" help:"The same, in a file."`
	Key       string        `env:"REVERSEHTTP_KEY" help:"Key, for gateways that ask for one."`
	KeyFile   secretFile    `env:"REVERSEHTTP_KEY_FILE" placeholder:"FILE" help:"The same, in a file."`
	Ephemeral bool          `help:"Claim a label of this start only, and give it up at the end. Without the flag, and without a token of yours, label and token are kept for the next start."`
	Lease     time.Duration `placeholder:"TIME" help:"How long the label stays yours while nothing runs, such as 10m. Default: the gateway's."`
	Timeout   time.Duration `placeholder:"TIME" help:"How long a visitor waits for an answer. Default: the gateway's."`
	Transport string        `default:"auto" enum:"auto,link,framed,stream,poll" help:"How requests come from the gateway: auto (the fastest that works), link, framed, stream or poll. Default: auto."`
	Drain     time.Duration `default:"10s" placeholder:"TIME" help:"How long exchanges may still run after Ctrl-C. Default: 10s."`
	Domain    string        `placeholder:"NAME" help:"Domain of your own that should lead to the label as well, such as hooks.example.org. The DNS records to set are printed."`
	gates     `embed:""`
	Record    bool `name:"inspect" default:"true" negatable:"" help:"Have the gateway record exchanges, for inspect and the console, and print a link to the console. Default: yes. --no-inspect turns it off."`
	QR        bool `name:"qr" help:"Also print the URL as a QR code on a terminal."`
	JSON      bool `name:"json" help:"Print JSON lines even on a terminal."`
	Verbose   bool `short:"v" help:"Log the connection to the gateway on standard error."`

	Version kong.VersionFlag `help:"Print the version, and end."`

	Forward    forward        `cmd:"" help:"Put a local server on a public URL."`
	Serve      serve          `cmd:"" help:"Put the files of a directory on a public URL."`
	Up         up             `cmd:"" help:"Run several commands listed in a file."`
	Echo       echo           `cmd:"" help:"Answer every request with a JSON description of it."`
	Inbox      inbox          `cmd:"" help:"Print every request, and answer with a chosen status."`
	Callback   callback       `cmd:"" help:"Wait for the redirect of an OAuth server, and print what it says."`
	Inspect    inspect        `cmd:"" help:"Print the exchanges that the gateway recorded."`
	Replay     replay         `cmd:"" help:"Send a recorded request to the handler again."`
	MCP        mcpServer      `cmd:"" name:"mcp" help:"Serve an agent on standard input and output, by the Model Context Protocol."`
	Run        gatewayRun     `cmd:"" name:"gateway" passthrough:"" help:"Run a gateway, with its console and demos."`
	Conforms   conformanceRun `cmd:"" name:"conformance" passthrough:"" help:"Judge a gateway, or a client, by the test vectors of the protocol."`
	Admin      admin          `cmd:"" help:"Commands for the operator of a gateway."`
	Man        man            `cmd:"" hidden:"" help:"Print the manual page."`
	Completion completion     `cmd:"" help:"Print a script that completes commands and flags in a shell."`
}

// examples are part of the help.
const examples = `Examples:

  # http://localhost:3000 on a public URL
  reversehttp forward 3000
  # the same with a name and a QR code
  reversehttp forward 3000 -l demo --qr
  # the files of a directory
  reversehttp serve ./public
  # prints every request, such as a webhook
  reversehttp inbox
  # a gateway on this machine
  reversehttp gateway`

// exited is the panic value of the parser when kong would exit the process.
type exited int

// newParser returns the parser of the arguments.
func newParser(o *options, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(o, kong.Name("reversehttp"),
		kong.Description("Puts something of this machine on a public URL, without opening a port. A live table on a terminal, JSON lines otherwise.\n\n"+examples+"\n\n"+exitHelp),
		kong.Vars{"version": "reversehttp " + process.Version(), "gateway": defaultGateway}, kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(exited(code)) }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
}

// explained adds what an argument is to an error of the parser which only says that it is missing.
func explained(err error) error {
	var p *kong.ParseError
	if !errors.As(err, &p) || p.Context.Selected() == nil {
		return err
	}
	command := p.Context.Selected()
	for _, argument := range command.Positional {
		if strings.HasPrefix(err.Error(), fmt.Sprintf("expected %q", argument.Summary())) {
			name := strings.TrimPrefix(command.FullPath(), p.Context.Model.Name+" ")
			return fmt.Errorf("%s needs %s. %s", name, argument.Summary(), strings.TrimSuffix(argument.Help, "."))
		}
	}
	return err
}

// check returns an error if flags contradict each other.
func (o *options) check() error {
	if o.Lease < 0 || o.Timeout < 0 || o.Drain < 0 {
		return fmt.Errorf("--lease, --timeout and --drain cannot be negative")
	}
	if err := o.gates.check(); err != nil {
		return err
	}
	u, err := url.Parse(o.Gateway)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--gateway=%s: give a URL such as http://localhost:8080", printable(o.Gateway))
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("--gateway=%s: ports are 1 to 65535", printable(o.Gateway))
		}
	}
	return nil
}
