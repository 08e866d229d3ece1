package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// The growths, which are drawn as lines.
const (
	lineConcurrency = "concurrency"
	lineContent     = "content"
	lineSessions    = "sessions"
	lineClaims      = "parked claims"
)

// suite is one run of the bench.
type suite struct {
	*binaries
	o      *options
	log    io.Writer
	report *report
}

// run measures and prints the report. It logs its progress.
func run(ctx context.Context, o *options, out, log io.Writer) error {
	b, err := build(ctx)
	if err != nil {
		return err
	}
	defer b.remove()
	r, err := b.measure(ctx, o, log)
	if err != nil {
		return err
	}
	if o.svg != "" {
		if err := r.draw(o.svg); err != nil {
			return err
		}
	}
	if o.json {
		return r.writeJSON(out)
	}
	return r.writeTable(out)
}

// measure measures the works that --only chooses.
func (b *binaries) measure(ctx context.Context, o *options, log io.Writer) (*report, error) {
	begun := time.Now()
	s := &suite{b, o, log, newReport(o)}
	for _, part := range []func(context.Context) error{s.traffic, s.far, s.pages, s.tabs, s.sessions, s.beside, s.measureMemory, s.killed} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	s.report.judge()
	s.report.Seconds = time.Since(begun).Seconds()
	return s.report, nil
}

func (s *suite) say(round int, what string) {
	_, _ = fmt.Fprintf(s.log, "round %d of %d: %s\n", round+1, s.o.rounds, what)
}

// claims returns the numbers of parked claims for which this machine has enough open files.
func (s *suite) claims() []int {
	return slices.DeleteFunc(slices.Clone(s.o.claims), func(n int) bool {
		err := room(n)
		if err != nil {
			s.report.skip(strconv.Itoa(n)+" parked claims", err)
		}
		return err != nil
	})
}

func (s *suite) mostClaims() int { return slices.Max(append(s.claims(), 0)) }

// any reports whether --only chooses one of the names.
func (s *suite) any(tallies []*tally) bool {
	return slices.ContainsFunc(tallies, func(t *tally) bool { return s.o.only.MatchString(t.name) })
}

// keep adds the measured works to the report. Works without a way on this machine were not measured.
func (s *suite) keep(tallies []*tally) {
	for _, t := range tallies {
		if len(t.names) > 0 {
			s.report.Rows = append(s.report.Rows, t.row())
		}
	}
}

// job is a work with its ways.
type job struct {
	work
	ways func() []way
}

// chosen returns the jobs that --only chooses.
func (s *suite) chosen(jobs []job) []job {
	return slices.DeleteFunc(jobs, func(j job) bool { return !s.o.only.MatchString(j.name) })
}

// measures measures the chosen jobs, if there are any, at a new testbed, which prepare sees first. If away is true, its
// handler is 20 ms away.
func (s *suite) measures(ctx context.Context, what string, jobs []job, away bool, prepare func(*testbed) error) error {
	if jobs = s.chosen(jobs); len(jobs) == 0 {
		return nil
	}
	t, err := s.open(ctx, away)
	if err != nil {
		return err
	}
	defer t.close()
	if err := prepare(t); err != nil {
		return err
	}
	return s.rounds(ctx, what, jobs)
}

// rounds measures jobs round by round.
func (s *suite) rounds(ctx context.Context, what string, jobs []job) error {
	tallies := make([]*tally, len(jobs))
	for round := range s.o.rounds {
		s.say(round, what)
		for i, j := range jobs {
			if round == 0 {
				tallies[i] = &tally{work: j.work}
			}
			if err := tallies[i].add(ctx, round, j.ways()); err != nil {
				return err
			}
		}
	}
	s.keep(tallies)
	return nil
}
