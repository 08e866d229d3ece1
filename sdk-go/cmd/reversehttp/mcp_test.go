package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"reversehttp/server/gateway"
)

// agent is an agent with the tools.
type agent struct {
	t       *testing.T
	session *mcp.ClientSession
	tools   *tools
}

// agentAt connects an agent to the tools of a gateway until the test ends.
func agentAt(t *testing.T, l *lender, o options) *agent {
	t.Helper()
	o.Gateway, o.Transport = l.origin, "auto"
	a := &asking{options: &o, client: l.visitor(t), advice: adviceToAgents, stderr: io.Discard}
	tools := &tools{asking: a, logger: o.log(io.Discard), served: map[string]*served{}}
	ours, theirs := mcp.NewInMemoryTransports()
	server, err := tools.server(tools.logger).Connect(t.Context(), ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), theirs, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = session.Close()
		_ = server.Wait()
		tools.end()
	})
	return &agent{t, session, tools}
}

// call calls a tool. It returns the result, or the text of its error.
func (a *agent) call(name string, arguments map[string]any) (out map[string]any, fault string) {
	a.t.Helper()
	result, err := a.session.CallTool(a.t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		a.t.Fatalf("%s: %v", name, err)
	}
	text := result.Content[0].(*mcp.TextContent).Text
	if result.IsError {
		return nil, text
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		a.t.Fatalf("%s said %q", name, text)
	}
	return out, ""
}

// get is call for calls that succeed.
func (a *agent) get(name string, arguments map[string]any) map[string]any {
	a.t.Helper()
	out, fault := a.call(name, arguments)
	if fault != "" {
		a.t.Fatalf("%s %v: %s", name, arguments, fault)
	}
	return out
}

type members = map[string]any

func TestAnAgentHasFiveTools(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	a := agentAt(t, l, options{})
	var names []string
	for tool, err := range a.session.Tools(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, tool.Name)
		if tool.Description == "" || tool.Annotations == nil {
			t.Errorf("%s is not described", tool.Name)
		}
	}
	if got := strings.Join(names, " "); got != "claim list replay show wait_for_request" {
		t.Errorf("tools = %s", got)
	}
}

func TestAnAgentClaimsAndSeesRequests(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	a := agentAt(t, l, options{})
	claimed := a.get("claim", members{"label": "agents", "status": 201, "body": `{"ok":true}`, "contentType": "application/json"})
	at := claimed["url"].(string)
	visit := func(sent string) (status int, got string) {
		req, _ := http.NewRequest("POST", at+"hook?x=1", strings.NewReader(sent))
		req.Header.Set("Authorization", "Bearer visitor")
		resp, err := l.visitor(t).Do(req)
		got = content(t, resp, err)
		return resp.StatusCode, got
	}

	var waiting sync.WaitGroup
	came := make(chan members, 1)
	waiting.Go(func() { came <- a.get("wait_for_request", members{"method": "POST", "timeoutSeconds": 600}) })
	// The visitor repeats its request until one arrives after the agent began to wait.
	for got := false; !got; {
		if status, body := visit("hello\xff"); status != 201 || body != `{"ok":true}` {
			t.Fatalf("visitor got %d %q", status, body)
		}
		select {
		case out := <-came:
			x, _ := out["exchange"].(members)
			if got = true; out["came"] != true || x["target"] != "/hook?x=1" || x["status"] != 201.0 {
				t.Fatalf("wait_for_request = %v", out)
			}
		default:
		}
	}
	waiting.Wait()

	list := a.get("list", members{"limit": 1})
	id := list["exchanges"].([]any)[0].(members)["id"].(string)
	for secrets, want := range map[bool]string{false: "[masked]", true: "Bearer visitor"} {
		one := a.get("show", members{"id": id, "secrets": secrets})
		request := one["request"].(members)
		if request["bodyBase64"] != "aGVsbG//" || field(seen(request), "Authorization") != want || one["response"].(members)["body"] != `{"ok":true}` {
			t.Errorf("show = %v", one)
		}
	}

	again := a.get("claim", members{"label": "agents", "status": 500, "body": "oops"})
	if again["url"] != at || again["changed"] != true {
		t.Errorf("claim again = %v", again)
	}
	x := a.get("replay", members{"id": id, "method": "PUT", "body": "other", "headers": []members{{"name": "X-Again", "value": "1"}, {"name": "authorization", "value": ""}}})
	if x["replayOf"] != id || x["method"] != "PUT" || x["status"] != 500.0 {
		t.Errorf("replay = %v", x)
	}
	request := a.get("show", members{"id": x["id"]})["request"].(members)
	if request["body"] != "other" || field(seen(request), "X-Again") != "1" || field(seen(request), "Authorization") != "" {
		t.Errorf("the replay was given as %v", request)
	}
	if list := a.get("list", members{"status": "5xx"})["exchanges"].([]any); len(list) != 1 {
		t.Errorf("list of 5xx = %v", list)
	}
}

func TestAnAgentIsShownNoMoreThanItAsksFor(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "inbox", "--label=long")
	id := r.visit(l, "POST", "/", strings.Repeat("é", 200<<10))
	a := agentAt(t, l, options{})
	for most, want := range map[int]int{0: shownUsual, 101: 100, shownMost: shownMost} {
		request := a.get("show", members{"id": id, "most": most})["request"].(members)
		if got := len(request["body"].(string)); got != want || request["bytes"] != float64(400<<10) || request["cut"] == nil {
			t.Errorf("most %d: %d bytes, %v", most, got, request["cut"])
		}
	}
}

func TestToolErrorsSayWhatToDo(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	a := agentAt(t, l, options{})
	if _, fault := a.call("list", nil); !strings.Contains(fault, "claim a label with the tool claim") {
		t.Errorf("without a claim: %q", fault)
	}
	r := l.claim(t, "inbox", "--label=cut")
	id := r.visit(l, "POST", "/", strings.Repeat("x", 300<<10))
	l.claim(t, "inbox", "--label=silent", "--no-inspect")
	for _, c := range []struct {
		tool      string
		arguments members
		want      string
	}{
		{"list", nil, "several commands run here: cut at"},
		{"list", members{"label": "silent"}, "inspection is off"},
		{"wait_for_request", members{"label": "silent"}, "inspection is off"},
		{"list", members{"label": "cut", "status": "teapot"}, "a class such as 5xx"},
		{"list", members{"label": "cut", "limit": 999}, "1 to 200"},
		{"list", members{"label": "cut", "limit": "many"}, "limit"},
		{"list", members{"label": "cut", "colour": "red"}, "colour"},
		{"show", members{"label": "cut", "id": "nix"}, "the tool list, with the label cut, lists those that there are"},
		{"show", members{"label": "cut"}, "id"},
		{"show", members{"label": "cut", "id": ""}, "give one that list has"},
		{"show", members{"label": "cut", "id": id, "most": 1 << 20}, "give 1 to 262144"},
		{"replay", members{"label": "cut", "id": id}, "give all of it with body or bodyBase64"},
		{"replay", members{"label": "cut", "id": id, "body": "a", "bodyBase64": "YQ=="}, "give one of them"},
		{"replay", members{"label": "cut", "id": id, "bodyBase64": "!"}, "RFC 4648"},
		{"replay", members{"label": "cut", "id": id, "body": "", "headers": []members{{"name": "a b", "value": "1"}}}, "X-Again:1"},
		{"replay", members{"label": "cut", "id": id, "body": "", "target": "bad"}, "refuses that"},
		{"wait_for_request", members{"label": "cut", "timeoutSeconds": 601}, "give 1 to 600"},
		{"claim", members{"label": "cut"}, "another command of yours"},
		{"claim", members{"label": "-bad-"}, "label"},
		{"claim", members{"status": 99}, "200 to 599"},
		{"claim", members{"status": 204, "body": "x"}, "leave body out"},
		{"claim", members{"contentType": "a\nb"}, "one line"},
	} {
		if _, fault := a.call(c.tool, c.arguments); !strings.Contains(fault, c.want) {
			t.Errorf("%s %v: %q, want %q", c.tool, c.arguments, fault, c.want)
		}
	}
}

func TestWaitingReportsThatNothingCame(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	a := agentAt(t, l, options{})
	a.get("claim", members{"label": "quiet"})
	if out := a.get("wait_for_request", members{"timeoutSeconds": 1}); out["came"] != false || !strings.Contains(out["detail"].(string), "wait again") {
		t.Errorf("wait_for_request = %v", out)
	}
}

func TestClaimsOfAnAgentEndWithIt(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	command := exec.Command(built(t)+"/reversehttp", "mcp", "--gateway", l.origin)
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: command}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, session: session}
	at := a.get("claim", members{"label": "ended", "body": "hello"})["url"].(string)
	resp, err := l.visitor(t).Get(at)
	if got := content(t, resp, err); got != "hello" {
		t.Errorf("visitor got %q", got)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	if code := command.ProcessState.ExitCode(); code != exitDone {
		t.Errorf("exit = %d", code)
	}
	l.claim(t, "echo", "--label=ended") // the label was given up
}

func TestAnAgentThatLeavesLeavesNothingWaiting(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	a := agentAt(t, l, options{})
	a.get("claim", members{"label": "left"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := a.session.CallTool(ctx, &mcp.CallToolParams{Name: "wait_for_request", Arguments: members{"timeoutSeconds": 600}})
		done <- err
	}()
	cancel()
	if err := <-done; err == nil {
		t.Error("the call ended without an error")
	}
}
