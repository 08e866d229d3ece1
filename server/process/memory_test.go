package process

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestSizesOfMemory(t *testing.T) {
	for text, want := range map[string]int64{
		"268435456": 256 << 20, "256MiB": 256 << 20, "256 MiB": 256 << 20, "1GB": 1_000_000_000, "1gib": 1 << 30, "1.5GiB": 3 << 29,
	} {
		o, err := parse([]string{"--memory", text})
		if err != nil || o.memory() != want {
			t.Errorf("--memory %s: %v, want %d bytes", text, err, want)
		}
	}
	for _, text := range []string{"much", "-1", "", "63MiB", "1", "16EiB"} {
		if _, err := parse([]string{"--memory=" + text}); err == nil {
			t.Errorf("--memory=%s is accepted", text)
		}
	}
	for _, content := range []string{`{"memory": "256MiB"}`, `{"memory": 268435456}`} {
		file := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := parse([]string{"--config", file})
		if err != nil || o.memory() != 256<<20 {
			t.Errorf("%s: %v, want 256 MiB", content, err)
		}
	}
}

func TestTheDefaultMemoryIsAQuarterOfTheMachine(t *testing.T) {
	o, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := o.memory(); n < leastMemory || n > 1<<50 {
		t.Errorf("memory = %d bytes", n)
	}
}

func TestTheLimitOfTheCollectorFollowsTheMemory(t *testing.T) {
	was := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(was)
	t.Setenv("GOMEMLIMIT", "1GiB")
	limitMemory(100 << 20)
	if got := debug.SetMemoryLimit(-1); got != was {
		t.Errorf("limit = %d, want %d: GOMEMLIMIT takes precedence", got, was)
	}
	t.Setenv("GOMEMLIMIT", "")
	limitMemory(100 << 20)
	if got := debug.SetMemoryLimit(-1); got != 90<<20 {
		t.Errorf("limit = %d, want %d", got, 90<<20)
	}
}

func TestOnlyLargeMemoriesHaveABallast(t *testing.T) {
	was := ballast
	defer func() { ballast = was }()
	if dropBallast(8 * ballastBytes); len(ballast) != ballastBytes {
		t.Errorf("of %d bytes the ballast is %d, want %d", 8*ballastBytes, len(ballast), ballastBytes)
	}
	if dropBallast(8*ballastBytes - 1); ballast != nil {
		t.Errorf("of a byte less it is %d, want none", len(ballast))
	}
}
