package gateway

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"reversehttp/server/quota"
)

// exported returns the labels of each metric that a gateway exports, by the name of the metric.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	g, err := New(Options{Loopback: true, Quotas: Quotas{Label: &quota.Limits{quota.InFlight: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	descs, all := make(chan *prometheus.Desc), map[string][]string{}
	go func() {
		g.metrics.registry.Describe(descs)
		close(descs)
	}()
	form := regexp.MustCompile(`fqName: "([^"]+)".*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)
	for d := range descs {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("no name in %s", d)
		}
		for label := range strings.SplitSeq(m[2]+","+m[3], ",") {
			name, _, _ := strings.Cut(label, "=")
			all[m[1]] = append(all[m[1]], name)
		}
	}
	return all
}

func TestTheDashboardShowsExistingMetrics(t *testing.T) {
	content, err := os.ReadFile("../deploy/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	all, shown := exported(t), map[string]bool{}
	metric := regexp.MustCompile(`\b(?:reversehttp|process|go)_[a-z_]+`)
	by := regexp.MustCompile(`by \(([a-z, ]+)\)`)
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			var labels []string
			for _, name := range metric.FindAllString(target.Expr, -1) {
				of, there := all[name]
				if base, isBucket := strings.CutSuffix(name, "_bucket"); isBucket && !there {
					of, there = all[base]
					of = append(of, "le")
					name = base
				}
				if !there {
					t.Errorf("%s: no gateway exports %s", p.Title, name)
				}
				shown[name] = true
				labels = append(labels, of...)
			}
			for _, m := range by.FindAllStringSubmatch(target.Expr, -1) {
				for label := range strings.SplitSeq(m[1], ",") {
					if !slices.Contains(labels, strings.TrimSpace(label)) {
						t.Errorf("%s: there is no label %s in %s", p.Title, label, target.Expr)
					}
				}
			}
		}
	}
	if len(shown) < 12 {
		t.Errorf("it shows %d metrics, want 12 at least", len(shown))
	}
}
