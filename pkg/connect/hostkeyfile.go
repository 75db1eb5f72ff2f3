package connect

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/sshkey"
)

// hostKeyFiles reads each known_hosts file once a run, and has the hosts that
// are met at the same time written together: each writing reads the whole file and
// waits for the disk. The zero value is ready.
type hostKeyFiles struct {
	mu     sync.Mutex
	files  map[string]*hostKeyFile
	unread sync.Map // the paths of those that it has been said of that they cannot be read
}

type hostKeyFile struct {
	path    string
	writing sync.Mutex // held by who writes the file
	data    []byte     // of it, when it was last read or written

	mu      sync.Mutex
	index   *knownhosts.Index
	added   map[string]knownhosts.Line // what the file has that index has not, by name
	waiting []*newcomer
}

// A newcomer is a host that is to be added to a file.
type newcomer struct {
	e    *HostKeyError
	hash bool
	done bool
	err  error
}

func (f *hostKeyFiles) file(ctx context.Context, path string) (*hostKeyFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if file, ok := f.files[path]; ok {
		return file, nil
	}
	data, err := read(ctx, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if f.files == nil {
		f.files = map[string]*hostKeyFile{}
	}
	file := &hostKeyFile{path: path}
	file.read(data)
	f.files[path] = file
	return file, nil
}

// read is bounded.ReadFile, which may wait for a pipe, for as long as there is time.
func read(ctx context.Context, path string) ([]byte, error) {
	data, err := bounded.Await(ctx, func() ([]byte, error) { return bounded.ReadFile(path) })
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: it was not read to its end in time: %w", path, context.Cause(ctx))
	}
	return data, err
}

func (f *hostKeyFiles) forget(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.files, path)
}

func (f *hostKeyFile) read(data []byte) {
	index := knownhosts.NewIndex(knownhosts.File{Path: f.path, Data: data})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data, f.index, f.added = data, index, map[string]knownhosts.Line{}
}

// lookup returns the lines for a name as known_hosts writes it.
func (f *hostKeyFile) lookup(name string) []knownhosts.Line {
	f.mu.Lock()
	index := f.index
	line, ok := f.added[name]
	f.mu.Unlock()
	lines := index.Lookup(name)
	if ok {
		lines = append(lines, line)
	}
	return lines
}

// add writes the host's key into the file, unless that has another by now.
func (f *hostKeyFiles) add(ctx context.Context, path string, n *newcomer) error {
	file, err := f.file(ctx, path)
	if err != nil {
		return err
	}
	file.mu.Lock()
	file.waiting = append(file.waiting, n)
	file.mu.Unlock()
	file.writing.Lock()
	defer file.writing.Unlock()
	if !n.done { // with those who came before
		file.write()
	}
	return n.err
}

// write adds all who wait.
func (f *hostKeyFile) write() {
	f.mu.Lock()
	all := f.waiting
	f.waiting = nil
	f.mu.Unlock()
	undo := func() {}
	err := hostfs.Append(f.path, 0o600, func(old []byte) ([]byte, error) {
		undo = func() { f.read(old) }
		if !bytes.Equal(old, f.data) { // somebody else has written
			f.read(old)
		}
		for _, n := range all {
			n.err = f.admit(n)
		}
		if len(f.data) == len(old) {
			return nil, nil
		}
		return f.data[len(old):], nil
	})
	if err != nil {
		undo()
	}
	for _, n := range all {
		n.done = true
		if n.err == nil {
			n.err = err
		}
	}
}

// admit adds a host to the data.
func (f *hostKeyFile) admit(n *newcomer) error {
	switch status, said := knownhosts.Judge(f.lookup(n.e.Name), n.e.Shown, sshkey.Public{}); status {
	case knownhosts.Changed, knownhosts.Revoked: // another connection has met the host since we looked
		n.e.Status, n.e.Lines = status, said
		return n.e
	case knownhosts.Known:
		return nil
	}
	size := len(f.data)
	f.data = knownhosts.Add(f.data, n.e.Name, n.e.Shown, n.hash, newSalt)
	if len(f.data) > size {
		f.mu.Lock()
		f.added[n.e.Name] = knownhosts.Line{Path: f.path, Number: bytes.Count(f.data, []byte("\n")), Key: n.e.Shown}
		f.mu.Unlock()
	}
	return nil
}

func newSalt() []byte {
	b := make([]byte, 20)
	rand.Read(b) // never fails (crypto/rand)
	return b
}
