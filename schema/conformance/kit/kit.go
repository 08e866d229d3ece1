// Package kit is the conformance kit as a command: it plays the vectors of the protocol against a gateway, or against a client through a
// gateway, and prints a report. README.md, one folder up, describes the duties of a client, and the cases that are played.
package kit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// options are the arguments of the command.
type options struct {
	Gateway string   `arg:"" help:"URL of the gateway, such as http://localhost:8080."`
	Client  []string `arg:"" optional:"" passthrough:"" help:"Command that starts a client, with its arguments. Without it the gateway is judged."`

	Only    string        `placeholder:"REGEXP" help:"Play only the cases whose names match."`
	Key     string        `env:"REVERSEHTTP_KEY" placeholder:"KEY" help:"Key that the gateway wants for claiming."`
	As      string        `placeholder:"RUNTIME" help:"Also play the cases that only some runtimes can express, as this runtime of the vectors."`
	Longest time.Duration `default:"15s" help:"Leave out conversations in which more time passes."`
	Each    time.Duration `default:"90s" help:"Time that a case may take, beside the time that passes in it."`
	Settle  time.Duration `default:"50ms" help:"Time that the gateway has after each step of a conversation. What fails is played once more, with ten times that."`
	Beside  int           `default:"8" help:"Cases that are played at a time."`
	JSON    bool          `name:"json" help:"Print the report as JSON."`
}

// errFailed means that a case failed; the report has the details.
var errFailed = errors.New("the report has failures")

// Main runs the command under a name with its arguments until it ends or a signal comes. It returns the exit code: 0 if nothing failed, 1 if
// a case did, 2 if it could not play. It ends the process after --help and wrong arguments.
func Main(name string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	k := parser(&o, name)
	_, err := k.Parse(args)
	k.FatalIfErrorf(err)
	switch err := run(ctx, o, os.Stdout, os.Stderr); {
	case err == nil:
		return 0
	case errors.Is(err, errFailed):
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, err)
		return 1
	default:
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, err)
		return 2
	}
}

// Flags returns the flags of the command, for the completions and the manual page of a command that includes it.
func Flags() []*kong.Flag { return parser(&options{}, "conformance").Model.Flags }

// parser returns the parser of the arguments.
func parser(o *options, name string) *kong.Kong {
	return kong.Must(o, kong.Name(name), kong.Description("Play the vectors of ReverseHttp against a gateway, or a client."))
}

// run plays the selected cases and writes the report. The client's standard error goes to stderr.
func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	only, err := regexp.Compile(o.Only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	if o.Beside < 1 {
		return errors.New("--beside: at least one case has to be played at a time")
	}
	g, err := discover(ctx, o.Gateway, o.Key)
	if err != nil {
		return err
	}
	g.settle = o.Settle
	r := &report{Gateway: g.origin, Client: o.Client, only: only, beside: o.Beside, each: o.Each}
	if len(o.Client) > 0 {
		err = r.judgeClient(ctx, g, o, stderr)
	} else {
		err = r.judgeGateway(ctx, g, o.Longest)
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errors.New("interrupted")
	}
	if o.JSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = r.write(stdout)
	}
	if err == nil && r.Failed > 0 {
		err = errFailed
	}
	return err
}
