package main

import (
	"os"
	"strings"
	"time"

	"reversehttp/e2e/bench/picture"
)

// draw writes the picture to a file.
func (r *report) draw(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := r.picture().Write(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// picture has a chart for each growth and a bar for each goal.
func (r *report) picture() picture.Picture {
	p := picture.Picture{
		Title: "ReverseHttp: e2e/bench, " + r.Date.Format(time.DateOnly),
		Notes: []string{r.Machine, strings.Join(r.Versions, ", "), r.method()},
	}
	toProxy := func(_, point row, way string) float64 {
		t, _ := point.by(way)
		return t.Ratio.Rate
	}
	for _, c := range []struct {
		line, title, x string
		of             func(first, point row, way string) float64
	}{
		{lineConcurrency, "GET 1 KiB, requests/s to proxy", "concurrency", toProxy},
		{lineContent, "GET at concurrency 4, requests/s to proxy", "content", toProxy},
		{lineSessions, "GET 1 KiB at 64, to that with 1 session", "sessions on the claim", fraction},
		{lineClaims, "GET 1 KiB at 64, to that with 1 claim", "parked claims beside", fraction},
	} {
		points := r.line(c.line)
		if len(points) < 2 {
			continue
		}
		chart := picture.Chart{Title: c.title, X: c.x}
		for _, point := range points {
			chart.At = append(chart.At, point.At)
		}
		for _, t := range transports {
			series := picture.Series{Name: string(t)}
			for _, point := range points {
				series.Values = append(series.Values, c.of(points[0], point, string(t)))
			}
			chart.Series = append(chart.Series, series)
		}
		p.Charts = append(p.Charts, chart)
	}
	for _, g := range r.Goals {
		p.Bars = append(p.Bars, picture.Bar{Name: g.Work + ", by " + g.By + ": " + g.Figure, Is: g.Is, Target: g.Target, Least: g.Least, Met: g.Met})
	}
	return p
}
