//go:build !linux

package install

import (
	"context"
	"fmt"
	"runtime"

	"pi-key-tools/pkg/record"
)

// A Mounted exists on Linux only.
type Mounted struct {
	Engine
	Note string
}

// Root needs Linux: no other system reads the card's file system natively and
// follows its links without leaving it.
func Root(dir, _, _ string) (*Mounted, error) {
	return nil, fmt.Errorf("%s: the root file system of a card can be changed only on Linux, not on %s; its boot partition can", dir, runtime.GOOS)
}

// Refusals works on Linux only.
func (m *Mounted) Refusals(context.Context) []record.Record { return nil }
