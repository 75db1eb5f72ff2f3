//go:build unix

package sshconfig

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestAskEnds: the end of the context ends ssh with what it has started.
func TestAskEnds(t *testing.T) {
	t.Parallel()
	needSSH(t)
	w := newWorld(t)
	begun, ended := filepath.Join(w.home, "begun"), filepath.Join(w.home, "ended")
	config := w.write(t, "config", "Match exec \"echo >"+begun+"; sleep 0.5; echo >"+ended+"\"\n")
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		for range 500 {
			if _, err := os.Stat(begun); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if _, err := new(Resolver).Resolve(ctx, Request{Host: "pi", ConfigFile: config}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(begun); err != nil {
		t.Fatalf("Match exec did not run: %v", err)
	}
	time.Sleep(time.Second)
	if _, err := os.Stat(ended); err == nil {
		t.Error("Match exec went on")
	}
}
