package connect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// Of many hosts that are met at once, by two runs, each gets its line and only
// one; what was there stays, and a key that another has brought meanwhile counts.
func TestHostKeyFileMeetsMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	key, other := publicOf(t), publicOf(t)
	before := "here " + key.Line() // without a newline
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	const hosts = 60
	var one, two hostKeyFiles
	var all sync.WaitGroup
	for i := range hosts {
		for _, run := range []*hostKeyFiles{&one, &one, &two} {
			n := &newcomer{e: &HostKeyError{Name: fmt.Sprint("pi", i), Shown: key}, hash: i%2 == 0}
			all.Go(func() {
				if err := run.add(t.Context(), path, n); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(data), before+"\n") || strings.Count(string(data), "\n") != 1+hosts {
		t.Fatalf("%d lines:\n%s", strings.Count(string(data), "\n"), data)
	}
	for i := range hosts {
		name := fmt.Sprint("pi", i)
		want := knownhosts.LookupOnce(knownhosts.File{Path: path, Data: data}, name)
		if len(want) != 1 {
			t.Fatalf("%s: %d lines", name, len(want))
		}
		for run, files := range map[string]*hostKeyFiles{"one": &one, "two": &two} {
			file, err := files.file(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			// What a run has not written itself since it read the file, it need not know.
			if got := file.lookup(name); len(got) > 1 || len(got) == 1 && (got[0].Number != want[0].Number || !got[0].Key.Equal(key)) {
				t.Errorf("run %s has %+v, want %+v", run, got, want)
			}
		}
	}
	var refused *HostKeyError
	if err := two.add(t.Context(), path, &newcomer{e: &HostKeyError{Name: "pi1", Shown: other}}); !errors.As(err, &refused) || refused.Status != knownhosts.Changed || len(refused.Lines) != 1 {
		t.Errorf("another key of a host that is known: %v", err)
	}
}

// What could not be written is not known.
func TestHostKeyFileUnwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone", "known_hosts")
	var files hostKeyFiles
	if err := files.add(t.Context(), path, &newcomer{e: &HostKeyError{Name: "pi", Shown: publicOf(t)}}); err == nil {
		t.Fatal("written into a folder that is not there")
	}
	if file, err := files.file(t.Context(), path); err != nil || len(file.lookup("pi")) > 0 {
		t.Errorf("it is known all the same (%v)", err)
	}
}

func publicOf(t *testing.T) sshkey.Public {
	t.Helper()
	return identity.PublicOf(sshtest.NewKey(t, t.TempDir(), "ed25519").Signer.PublicKey())
}
