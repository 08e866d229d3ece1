package main

import "slices"

// figures are the measurements of a way in one round, or their medians over several. A figure that was not measured
// is 0.
type figures struct {
	// Rate has the unit of the row.
	Rate  float64 `json:"rate"`
	P50Ms float64 `json:"p50Ms"`
	P99Ms float64 `json:"p99Ms"`
	// MiddleCPU is the CPU time of gateway or proxy, PathCPU of it and the
	// program's process, in seconds for 10,000 exchanges.
	MiddleCPU float64 `json:"middleCpuSeconds"`
	PathCPU   float64 `json:"pathCpuSeconds"`
	// MiddleMallocs and ProgramMallocs are allocations per exchange.
	MiddleMallocs  float64 `json:"middleMallocs"`
	ProgramMallocs float64 `json:"programMallocs"`
}

// map2 applies f to each pair of members.
func map2(a, b figures, f func(a, b float64) float64) figures {
	return figures{
		f(a.Rate, b.Rate), f(a.P50Ms, b.P50Ms), f(a.P99Ms, b.P99Ms), f(a.MiddleCPU, b.MiddleCPU), f(a.PathCPU, b.PathCPU),
		f(a.MiddleMallocs, b.MiddleMallocs), f(a.ProgramMallocs, b.ProgramMallocs),
	}
}

// medianFigures returns the median of each member.
func medianFigures(rounds []figures) figures {
	of := func(member func(figures) float64) float64 { return medianOf(rounds, member) }
	return figures{
		of(func(f figures) float64 { return f.Rate }),
		of(func(f figures) float64 { return f.P50Ms }), of(func(f figures) float64 { return f.P99Ms }),
		of(func(f figures) float64 { return f.MiddleCPU }), of(func(f figures) float64 { return f.PathCPU }),
		of(func(f figures) float64 { return f.MiddleMallocs }), of(func(f figures) float64 { return f.ProgramMallocs }),
	}
}

// ratioOf returns the median of the ratios of a to b in each round.
func ratioOf(a, b []figures) figures {
	ratios := make([]figures, len(a))
	for i := range a {
		ratios[i] = map2(a[i], b[i], ratio)
	}
	return medianFigures(ratios)
}

// ratio returns a/b, and 0 if b is 0 because the work was too short for the clock.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// medianOf returns the median of a member over the rounds.
func medianOf[T any](rounds []T, member func(T) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = member(r)
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}
