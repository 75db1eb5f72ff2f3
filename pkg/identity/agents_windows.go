package identity

import "context"

// FindAgents finds none: Windows has one pipe for its agent.
func FindAgents(context.Context, string, func(string) string, string) []FoundAgent { return nil }
