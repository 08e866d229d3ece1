package main

import (
	"errors"
	"flag"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	rounds int
	each   time.Duration  // how long each measurement of a round takes
	only   *regexp.Regexp // which works are measured
	claims []int          // parked, in rising order
	json   bool
	svg    string // file for the picture; empty means none

	// most bounds the content of one exchange, for quick tests. Zero means no bound.
	most int64
}

func parse(args []string, usage io.Writer) (*options, error) {
	o := &options{only: regexp.MustCompile("")}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(usage)
	f.IntVar(&o.rounds, "rounds", 3, "rounds; every figure is the median of them")
	f.DurationVar(&o.each, "each", 400*time.Millisecond, "how long a figure is measured in a round, besides a tenth to warm up")
	f.Func("only", "measure only the works whose name matches this regular expression", func(s string) (err error) {
		o.only, err = regexp.Compile(s)
		return err
	})
	f.Func("claims", "counts of parked claims, rising (default 100,1000,10000)", func(s string) error {
		for one := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(one)
			if err != nil || n < 1 || len(o.claims) > 0 && n <= o.claims[len(o.claims)-1] {
				return errors.New("give numbers such as 1000,10000")
			}
			o.claims = append(o.claims, n)
		}
		return nil
	})
	f.BoolVar(&o.json, "json", false, "print JSON in place of the table")
	f.StringVar(&o.svg, "svg", "", "write the picture to this `file`")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, errors.New("give flags only")
	}
	if o.claims == nil {
		o.claims = []int{100, 1000, 10000}
	}
	if o.rounds < 1 || o.each <= 0 {
		return nil, errors.New("--rounds and --each are above 0")
	}
	return o, nil
}

// content returns n, or most if that is less.
func (o *options) content(n int64) int64 {
	if o.most > 0 {
		return min(n, o.most)
	}
	return n
}
