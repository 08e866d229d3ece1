package main

import "fmt"

// goal is the target of a figure, with its value.
type goal struct {
	Work   string  `json:"work"`
	By     string  `json:"by"`
	Figure string  `json:"figure"`
	Is     float64 `json:"is"`
	// Target is the least acceptable value if Least is true, otherwise the largest.
	Target float64 `json:"target"`
	Least  bool    `json:"least"`
	Met    bool    `json:"met"`
}

// bound formats the target.
func (g goal) bound() string {
	if g.Least {
		return fmt.Sprintf("at least %g", g.Target)
	}
	return fmt.Sprintf("at most %g", g.Target)
}

// verdict returns "met", or by how much the figure misses the target.
func (g goal) verdict() string {
	switch {
	case g.Met:
		return "met"
	case g.Least:
		return fmt.Sprintf("missed by %.0f %%", 100*(1-g.Is/g.Target))
	}
	return fmt.Sprintf("missed by %.0f %%", 100*(g.Is/g.Target-1))
}

// judge compares the figures with the goals. It omits goals whose figure was not measured. If a goal names several
// ways, the first that was measured counts.
func (r *report) judge() {
	rate := func(t through) float64 { return t.Ratio.Rate }
	p50 := func(t through) float64 { return t.Ratio.P50Ms }
	plainRate := func(t through) float64 { return t.Figures.Rate }
	plainP50 := func(t through) float64 { return t.Figures.P50Ms }
	ofGateway := func(t through) float64 { return t.Figures.MiddleMallocs }
	ofProgram := func(t through) float64 { return t.Figures.ProgramMallocs }
	// The transports that auto takes, and the alternatives for long content.
	auto := []string{"link", "framed"}

	r.goal("GET 1 KiB at 64", "requests/s to proxy", 2, true, rate, "link")
	r.goal("GET 1 KiB at 64", "allocations, gateway", 40, false, ofGateway, "link")
	r.goal("GET 1 KiB at 64", "allocations, program", 25, false, ofProgram, "link")
	r.goal("GET 1 KiB at 64", "requests/s to proxy", 0.8, true, rate, forwardWay)
	r.goal("GET 1 KiB at 64", "requests/s to proxy", 1.6, true, rate, "stream")
	r.goal("GET 1 KiB at 64", "allocations, gateway", 45, false, ofGateway, "stream")
	r.goal("GET 1 KiB at 64", "allocations, program", 30, false, ofProgram, "stream")
	r.goal("GET 1 KiB at 64", "requests/s to proxy", 1.4, true, rate, "poll")
	r.goal("GET 1 KiB at 1", "p50 to proxy", 1.2, false, p50, "link")
	r.goal("GET 1 KiB at 1", "p50 to proxy", 1.4, false, p50, "stream")
	for _, l := range echoes() {
		r.goal(l.title(), "requests/s to proxy", 0.7, true, rate, "link")
		r.goal(l.title(), "requests/s to proxy", 0.6, true, rate, "framed")
	}
	r.goal("256 MiB down", "MB/s to proxy", 0.7, true, rate, auto...)
	r.goal("256 MiB up", "MB/s to proxy", 0.9, true, rate, auto...)
	r.goal("server-sent event", "p50 to proxy", 1.5, false, p50, auto...)
	r.goal("GET 1 KiB at 64"+farSuffix, "requests/s to 2 proxies", 1, true, rate, "link")
	r.goal("64 MiB down"+farSuffix, "MB/s to 2 proxies", 0.8, true, rate, "link")
	r.goal("64 MiB up"+farSuffix, "MB/s to 2 proxies", 0.8, true, rate, "link")
	r.goal("page: file of 64 MiB", "MB/s", 60, true, plainRate, pageWay)
	r.goal("page: GET 1 KiB at 16", "requests/s", 1800, true, plainRate, pageWay)
	for _, l := range echoes() {
		r.goal("page: "+l.title(), "requests/s", 150, true, plainRate, pageWay)
	}
	r.goal(webhooksWork, "p50 to 1 tab", 2, false, p50, tabsWay)
	r.goal(socketsWork(100, 100), "time to proxy", 3, false, func(t through) float64 { return ratio(1, t.Ratio.Rate) }, nodeWay)
	for _, name := range []string{killedServed, killedTold} {
		r.goal(name, "ms", 2500, false, plainP50, "link")
	}
	r.lineGoal(lineSessions, "sessions on a claim", auto...)
	r.lineGoal(lineClaims, "parked claims beside", auto...)
	for _, m := range r.Memory {
		most := map[string]float64{"batch": 16, "stream": 20, "link": 18}[m.Form]
		if most > 0 && m.Claims == r.Memory[len(r.Memory)-1].Claims {
			r.Goals = append(r.Goals, goal{fmt.Sprintf("%d parked claims", m.Claims), m.Form, "resident KiB each", m.ResidentKiB, most, false, m.ResidentKiB <= most})
		}
	}
}

// goal compares a figure of a row with its target.
func (r *report) goal(work, figure string, target float64, least bool, of func(through) float64, ways ...string) {
	for i := range r.Rows {
		if r.Rows[i].Work != work {
			continue
		}
		if t, ok := r.Rows[i].by(ways...); ok {
			is := of(t)
			r.Goals = append(r.Goals, goal{work, t.Way, figure, is, target, least, is <= target == !least || is == target})
		}
	}
}

// lineGoal compares the last point of a line with its first: growth should cost little.
func (r *report) lineGoal(line, what string, ways ...string) {
	const target = 0.85
	points := r.line(line)
	if len(points) < 2 {
		return
	}
	last := points[len(points)-1]
	if t, ok := last.by(ways...); ok {
		is := fraction(points[0], last, t.Way)
		r.Goals = append(r.Goals, goal{last.At + " " + what, t.Way, "requests/s to that with 1", is, target, true, is >= target})
	}
}

// line returns the points of a growth in order.
func (r *report) line(name string) (points []row) {
	for _, row := range r.Rows {
		if row.Line == name {
			points = append(points, row)
		}
	}
	return points
}

// fraction returns the ratio of a point's rate to that of the first point. Both are relative to the proxy at the same
// moment, which cancels other load of the machine.
func fraction(first, point row, way string) float64 {
	a, _ := point.by(way)
	b, _ := first.by(way)
	return ratio(a.Ratio.Rate, b.Ratio.Rate)
}
