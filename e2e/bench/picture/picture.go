// Package picture draws lines and bars as SVG that reads well on white and on
// black. The libraries for charts in Go bring fonts, rasters and dozens of
// packages for what is a template and a scale here.
package picture

import (
	_ "embed"
	"fmt"
	"io"
	"math"
	"strconv"
	"text/template"
)

// Picture is charts of lines above a list of bars.
type Picture struct {
	Title string
	// Notes stand below the title, a line each.
	Notes  []string
	Charts []Chart
	Bars   []Bar
}

// Chart has a line for each series. Its places stand at equal distances.
type Chart struct {
	Title string
	X     string // what grows
	At    []string
	// Series have a value for each place. A series of a name looks the same in every chart.
	Series []Series
}

// Series is a line of a chart.
type Series struct {
	Name   string
	Values []float64
}

// Bar is a figure with its target, which is the least that is good enough, or
// the most where Least is false.
type Bar struct {
	Name       string
	Is, Target float64
	Least, Met bool
}

// The measures of a picture, in pixels.
const (
	width, margin         = 960, 20
	chartWidth            = (width - 3*margin) / 2
	chartHeight           = 244
	plotLeft, plotRight   = 36, 8 // within a chart
	plotTop, plotBottom   = 26, 52
	barHeight, barsLeft   = 22, 430
	barTarget, barMost    = 230.0, 1.5 // where the target stands; how much of it a bar shows at most
	noteHeight, headStart = 17, 32
	legendStep, looks     = 110, 6
)

//go:embed picture.svg.tmpl
var text string

var drawing = template.Must(template.New("").Parse(text))

// Write writes the picture.
func (p Picture) Write(w io.Writer) error { return drawing.Execute(w, p.lay()) }

// layout is a picture of which every place is known.
type layout struct {
	Picture
	Width, Height int
	Notes         []label
	Legend        []line
	Plots         []plot
	BarsTop       int
	Rows          []barRow
	// Where bars begin, the target stands, and bars end.
	BarsLeft, TargetX, BarsRight float64
}

type label struct {
	X, Y float64
	Text string
}

type line struct {
	Look    int
	Name    string
	X, Y    float64
	Path    string
	Markers []label
}

type plot struct {
	Chart
	X, Y                     int
	Left, Right, Top, Bottom float64
	Middle                   float64
	Grid, Places             []label
	One                      float64
	Lines                    []line
}

type barRow struct {
	Bar
	Y, Length float64
	Beyond    bool
	Words     string
}

func (p Picture) lay() layout {
	l := layout{Picture: p, Width: width, BarsLeft: barsLeft, TargetX: barsLeft + barTarget, BarsRight: barsLeft + barMost*barTarget}
	y := headStart
	for _, n := range p.Notes {
		y += noteHeight
		l.Notes = append(l.Notes, label{margin, float64(y), n})
	}
	y += 2 * noteHeight
	look := map[string]int{}
	for _, c := range p.Charts {
		for _, s := range c.Series {
			if _, ok := look[s.Name]; ok {
				continue
			}
			look[s.Name] = len(look) % looks
			l.Legend = append(l.Legend, line{Look: look[s.Name], Name: s.Name, X: float64(margin + legendStep*len(l.Legend)), Y: float64(y)})
		}
	}
	y += 14
	for i, c := range p.Charts {
		one := c.lay(look)
		one.X, one.Y = margin+i%2*(chartWidth+margin), y+i/2*chartHeight
		l.Plots = append(l.Plots, one)
	}
	y += (len(p.Charts)+1)/2*chartHeight + 2*noteHeight
	l.BarsTop = y
	for i, b := range p.Bars {
		l.Rows = append(l.Rows, b.lay(float64(y+10+i*barHeight)))
	}
	l.Height = y + 10 + len(p.Bars)*barHeight + margin
	return l
}

func (c Chart) lay(look map[string]int) plot {
	p := plot{Chart: c, Left: plotLeft, Right: chartWidth - plotRight, Top: plotTop, Bottom: chartHeight - plotBottom}
	p.Middle = (p.Left + p.Right) / 2
	most := 1.0
	for _, s := range c.Series {
		for _, v := range s.Values {
			most = max(most, v)
		}
	}
	step := 0.25
	for most/step > 6 {
		step *= 2
	}
	most = math.Ceil(most/step-1e-9) * step
	y := func(v float64) float64 { return p.Bottom - v/most*(p.Bottom-p.Top) }
	x := func(i int) float64 {
		room := (p.Right - p.Left) / float64(max(len(c.At), 1))
		return p.Left + room*(float64(i)+0.5)
	}
	p.One = y(1)
	for v := 0.0; v <= most+step/2; v += step {
		p.Grid = append(p.Grid, label{p.Left - 6, y(v), strconv.FormatFloat(v, 'f', -1, 64)})
	}
	for i, at := range c.At {
		p.Places = append(p.Places, label{x(i), p.Bottom + 16, at})
	}
	for _, s := range c.Series {
		l := line{Look: look[s.Name], Name: s.Name}
		for i, v := range s.Values {
			move := "L"
			if i == 0 {
				move = "M"
			}
			l.Path += fmt.Sprintf("%s%.1f %.1f", move, x(i), y(v))
			l.Markers = append(l.Markers, label{x(i), y(v), strconv.FormatFloat(v, 'f', 2, 64)})
		}
		p.Lines = append(p.Lines, l)
	}
	return p
}

func (b Bar) lay(y float64) barRow {
	of := b.Is / b.Target
	bound := "≤"
	if b.Least {
		bound = "≥"
	}
	return barRow{b, y, min(of, barMost) * barTarget, of > barMost, fmt.Sprintf("%s  (%s %s)", short(b.Is), bound, short(b.Target))}
}

// short writes a figure with three digits.
func short(f float64) string {
	decimals := 2
	switch {
	case f >= 100:
		decimals = 0
	case f >= 10:
		decimals = 1
	}
	return strconv.FormatFloat(f, 'f', decimals, 64)
}
