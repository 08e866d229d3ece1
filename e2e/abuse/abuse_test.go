package abuse

import (
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// attack is one attack, made while honest visitors send requests.
type attack struct {
	name string
	// flags are flags of the gateway, in addition to settings.
	flags []string
	// do makes the attack. At its height it lets honest visitors continue. It fails the test if the attacker
	// gets an undocumented answer.
	do func(t *testing.T, w *world)
}

var attacks = []attack{
	{name: "answers that are announced and not sent", do: announceAnswers(inJSON)},
	{name: "answers that are announced and not sent, framed", do: announceAnswers(framed)},
	{name: "millions of fields in an answer", do: postAnswers(manyFields)},
	{name: "members nested deeply in an answer", do: postAnswers(deepMembers)},
	{name: "a million members in an answer", do: postAnswers(manyMembers)},
	{name: "millions of fields in an event's response", flags: shortPolls, do: postEvents(manyFields)},
	{name: "members nested deeply in an event's response", flags: shortPolls, do: postEvents(deepMembers)},
	{name: "a million members in an event's response", flags: shortPolls, do: postEvents(manyMembers)},
	{name: "fields by reference over HTTP/2", do: referFields},
	{name: "all exchanges held from one address", do: holdExchanges(1)},
	{name: "all exchanges held from many addresses", do: holdExchanges(162)},
	{name: "content that comes slowly", do: sendSlowly},
	{name: "whole answers that nobody reads", do: readSlowly("")},
	{name: "streamed answers that nobody reads", do: readSlowly(reversehttp.TransportPoll)},
	{name: "streamed answers that nobody reads, by a stream", do: readSlowly(reversehttp.TransportStream)},
	{name: "streamed answers that nobody reads, framed", do: readSlowly(reversehttp.TransportFramed)},
	{name: "streamed answers that nobody reads, by a link", do: readSlowly(reversehttp.TransportLink)},
	{name: "idle connections", flags: []string{"--max-connections=400"}, do: keepIdle},
	{name: "thousands of names in Connection", do: nameConnections},
	{name: "labels by the thousand", flags: []string{"--max-claims=2000", "--claims-per-address=20"}, do: hoardLabels},
	{name: "visitors who leave at once", do: leaveAtOnce},
	{name: "links that show no token", do: hideTokens},
	{name: "links that show no token, of few connections", flags: []string{"--max-connections=400"}, do: hideTokens},
	{name: "half a message on a link", flags: []string{"--content-rate=65536"}, do: haltMessages},
	{name: "messages on a link that reads no results", do: floodLinks(`{"type":"abort","id":"none"}` + "\n")},
	{name: "messages of no type on a link that reads no results", do: floodLinks("{}\n")},
	{name: "pings on a link that reads nothing", do: floodPings},
	{name: "content beyond the windows of a link", flags: []string{"--part=10s", "--acknowledge=10s"}, do: overflow},
	{name: "a link that takes nothing", flags: silence, do: joinDead(false)},
	{name: "a link that answers no ping", flags: silence, do: joinDead(true)},
	{name: "links of one claim", do: replaceLinks},
}

func TestHonestVisitorsAreServedBeside(t *testing.T) {
	t.Parallel() // in parallel with attacks that mostly wait
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			w := build(t, a.flags...)
			defer w.judge()
			since := time.Now()
			a.do(t, w)
			t.Logf("made in %.1f s", time.Since(since).Seconds())
		})
	}
}
