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

func TestPrivateGroup(t *testing.T) {
	const passwd = "root:x:0:0::/root:/bin/sh\npi:x:1000:1000::/home/pi:/bin/sh\nann:x:1001:100::/home/ann:/bin/sh\nbob:x:1002:100::/home/bob:/bin/sh\n"
	const group = "root:x:0:\npi:x:1000:\nusers:x:100:\nsolo:x:7:pi\ntwo:x:8:pi,ann\nempty:x:9:\nother:x:10:ann\n"
	for _, c := range []struct {
		gid, owner, us int
		want           bool
	}{
		{1000, 1000, 1000, true}, // pi's own
		{1000, 0, 0, false},      // pi is in it, who is not us
		{100, 1001, 1001, false}, // ann's and bob's
		{7, 1000, 1000, true}, {8, 1000, 1000, false}, {9, 1000, 1000, false}, {10, 1000, 1000, false},
		{11, 1000, 1000, false}, // no such group
		{7, 999, 999, false},    // no such owner
		{0, 0, 0, true},
	} {
		if got := privateGroup(passwd, group, c.gid, c.owner, c.us); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestAskEnds: the end of the context ends ssh with what it has started.
func TestAskEnds(t *testing.T) {
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
