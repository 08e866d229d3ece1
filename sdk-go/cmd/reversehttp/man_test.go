package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestTheManualHasEveryCommandAndFlag(t *testing.T) {
	var stdout, stderr buffer
	if code := run([]string{"man"}, nil, &stdout, &stderr); code != exitDone || stderr.String() != "" {
		t.Fatalf("exit = %d %s", code, stderr.String())
	}
	k, err := newParser(&options{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(stdout.String(), `\-`, "-")
	for _, c := range k.Model.Leaves(true) {
		if !strings.Contains(page, "\n.SS "+usageOf(c)+"\n") {
			t.Errorf("it has no %s", usageOf(c))
		}
		flags := c.Flags
		if own := ownFlags(c.Name); own != nil {
			flags = own
		}
		for _, f := range append(flags, k.Model.Flags...) {
			if !strings.Contains(page, "--"+f.Name+`"`) && !strings.Contains(page, "--[no-]"+f.Name+`"`) {
				t.Errorf("%s: it has no --%s", usageOf(c), f.Name)
			}
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("there is no groff here, which reads manual pages")
	}
	cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-Wbreak", "-z")
	cmd.Stdin = strings.NewReader(stdout.String())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%.2000s", err, out)
	}
}
