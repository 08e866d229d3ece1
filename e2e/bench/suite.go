package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// The growths that are drawn as lines.
const (
	lineConcurrency = "concurrency"
	lineContent     = "content"
	lineSessions    = "sessions"
	lineClaims      = "parked claims"
)

// suite is one run.
type suite struct {
	*binaries
	o      *options
	log    io.Writer
	report *report
}

// run measures and prints. Progress goes to the log.
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

// measure measures what --only chooses.
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

// claims are the counts of parked claims that this machine has open files for.
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

// any reports whether --only chooses one of them.
func (s *suite) any(tallies []*tally) bool {
	return slices.ContainsFunc(tallies, func(t *tally) bool { return s.o.only.MatchString(t.name) })
}

// keep puts what was measured into the report. A work for which there is no way here was not.
func (s *suite) keep(tallies []*tally) {
	for _, t := range tallies {
		if len(t.names) > 0 {
			s.report.Rows = append(s.report.Rows, t.row())
		}
	}
}

// job is a work with the ways that do it.
type job struct {
	work
	ways func() []way
}

// chosen are the jobs that --only chooses.
func (s *suite) chosen(jobs []job) []job {
	return slices.DeleteFunc(jobs, func(j job) bool { return !s.o.only.MatchString(j.name) })
}

// measures measures the jobs that are chosen, if any are, at a testbed that prepare is given first; its handler is 20 ms away where
// away says so.
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

// rounds measures jobs, round by round.
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
