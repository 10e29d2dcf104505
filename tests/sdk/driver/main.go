// Command driver uses the Go SDK on behalf of a test: a JSON command on each line of standard input, JSON lines out.
//
// Commands are {"do": "status" | "messages" | "post" | "subscribe", "text": "..."}. Each is answered by one line that
// begins with "answer" or "error". What a subscription brings is told in lines of its own, whenever it comes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	sdk "github.com/coder/agentapi-sdk-go"
)

type command struct {
	Do   string `json:"do"`
	Text string `json:"text"`
}

var out sync.Mutex

func tell(what string, value any) {
	line, err := json.Marshal(map[string]any{what: value})
	if err != nil {
		panic(err)
	}
	out.Lock()
	defer out.Unlock()
	fmt.Println(string(line))
}

func follow(events chan sdk.Event, errs chan error) {
	for event := range events {
		switch found := event.(type) {
		case sdk.EventMessageUpdate:
			tell("message_update", found)
		case sdk.EventStatusChange:
			tell("status_change", found)
		default:
			tell("unknown", fmt.Sprintf("%T", event))
		}
	}
	reason := "end of stream"
	if err := <-errs; err != nil {
		reason = err.Error()
	}
	tell("ended", reason)
}

func run(ctx context.Context, client *sdk.Client, asked command) (any, error) {
	switch asked.Do {
	case "status":
		return client.GetStatus(ctx)
	case "messages":
		return client.GetMessages(ctx)
	case "post":
		return client.PostMessage(ctx, sdk.PostMessageParams{Content: asked.Text, Type: sdk.MessageTypeUser})
	case "subscribe":
		events, errs, err := client.SubscribeEvents(ctx)
		if err == nil {
			go follow(events, errs)
		}
		return nil, err
	}
	return nil, fmt.Errorf("unknown command %q", asked.Do)
}

func main() {
	client, err := sdk.NewClient(os.Args[1])
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var asked command
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		if answer, err := run(context.Background(), client, asked); err != nil {
			tell("error", err.Error())
		} else {
			tell("answer", answer)
		}
	}
}
