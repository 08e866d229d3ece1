// Command mcp is an MCP server at a public URL: an agent adds the URL, and calls a tool of this machine.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	reversehttp "reversehttp/sdk-go"
)

type dice struct {
	Sides []int `json:"sides" jsonschema:"how many sides each die has"`
}

type sum struct {
	Most int `json:"most" jsonschema:"the largest sum of the dice"`
}

func main() {
	session, err := reversehttp.Claim(context.Background(), os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "dice", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "most", Description: "The largest sum of dice."}, most)
	// Without sessions, any program that serves the claim may answer any call.
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	fmt.Println(session.URL() + "mcp")
	http.Handle("/mcp", handler)
	log.Fatal(session.Serve(nil))
}

func most(_ context.Context, _ *mcp.CallToolRequest, in dice) (*mcp.CallToolResult, sum, error) {
	var all int
	for _, sides := range in.Sides {
		all += sides
	}
	return nil, sum{all}, nil
}
