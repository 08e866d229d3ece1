package kit

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"sync"
	"text/tabwriter"
	"time"
)

// report holds the results.
type report struct {
	Gateway string   `json:"gateway"`
	Client  []string `json:"client,omitempty"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	// Groups are in the order in which they were played.
	Groups []*group `json:"groups"`

	only   *regexp.Regexp
	beside int
	each   time.Duration
}

// group holds the cases of one file, played in one way.
type group struct {
	Name  string     `json:"name"`
	Cases []*outcome `json:"cases"`
}

// outcome is the result of one case.
type outcome struct {
	Name string `json:"name"`
	// Failure describes the difference from the case. Empty means that it passed, unless it was skipped.
	Failure string `json:"failure,omitempty"`
	// Skipped is why the case was not played. Empty means that it was.
	Skipped string `json:"skipped,omitempty"`
}

// played is a case to play. Skipped is why it is not played, passes how much time passes in it.
type played struct {
	name    string
	skipped string
	passes  time.Duration
	play    func(context.Context) error
}

// play plays the cases of a group.
func (r *report) play(ctx context.Context, name string, cases []played) {
	g := &group{Name: name}
	room := make(chan struct{}, r.beside)
	var all sync.WaitGroup
	for _, c := range cases {
		if !r.only.MatchString(c.name) {
			continue
		}
		o := &outcome{Name: c.name, Skipped: c.skipped}
		g.Cases = append(g.Cases, o)
		if c.skipped != "" {
			continue
		}
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			ctx, cancel := context.WithTimeout(ctx, r.each+c.passes)
			defer cancel()
			if err := c.play(ctx); err != nil {
				o.Failure = err.Error()
			}
		})
	}
	all.Wait()
	if len(g.Cases) > 0 {
		r.Groups = append(r.Groups, g)
	}
	for _, o := range g.Cases {
		switch {
		case o.Skipped != "":
			r.Skipped++
		case o.Failure != "":
			r.Failed++
		default:
			r.Passed++
		}
	}
}

// write writes the report as text.
func (r *report) write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s\tpassed\tfailed\tskipped\n", r.Gateway)
	reasons := map[string]int{}
	var order []string
	for _, g := range r.Groups {
		passed, failed, skipped := 0, 0, 0
		for _, o := range g.Cases {
			switch {
			case o.Skipped != "":
				skipped++
				if reasons[o.Skipped]++; reasons[o.Skipped] == 1 {
					order = append(order, o.Skipped)
				}
			case o.Failure != "":
				failed++
			default:
				passed++
			}
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", g.Name, passed, failed, skipped)
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%d\n", r.Passed, r.Failed, r.Skipped)
	if err := table.Flush(); err != nil {
		return err
	}
	for _, reason := range order {
		fmt.Fprintf(w, "\nskipped %d: %s\n", reasons[reason], reason)
	}
	for _, g := range r.Groups {
		for _, o := range g.Cases {
			if o.Failure != "" {
				fmt.Fprintf(w, "\nFAILED %s, %s\n%s\n", o.Name, g.Name, o.Failure)
			}
		}
	}
	return nil
}
