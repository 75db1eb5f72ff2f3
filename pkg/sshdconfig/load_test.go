package sshdconfig

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A disk is a Reader of what is in a map. A text of "denied" cannot be read.
type disk map[string]string

func (d disk) ReadFile(_ context.Context, name string) ([]byte, error) {
	text, ok := d[name]
	switch {
	case !ok:
		return nil, fs.ErrNotExist
	case text == "denied":
		return nil, fs.ErrPermission
	}
	return []byte(text), nil
}

func (d disk) Glob(_ context.Context, pattern string) ([]string, error) {
	var names []string
	for name := range d {
		if ok, err := path.Match(pattern, name); err != nil {
			return nil, err
		} else if ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func TestLoad(t *testing.T) {
	many := disk{DefaultFile: "Include many/*\n"}
	for i := range maxLoaded + 1 {
		many["/etc/ssh/many/"+strconv.Itoa(i)] = ""
	}
	// Two patterns are too many together; and so is a file behind the 16 MiB.
	both := disk{DefaultFile: "Include one/*\nInclude two/*\nAuthorizedKeysFile a\n"}
	for i := range maxLoaded/2 + 1 {
		both["/etc/ssh/one/"+strconv.Itoa(i)] = ""
		both["/etc/ssh/two/"+strconv.Itoa(i)] = ""
	}
	large := disk{DefaultFile: "Include l/*\n", "/etc/ssh/l/1": strings.Repeat("#", maxText), "/etc/ssh/l/2": "AuthorizedKeysFile a\n"}
	for _, c := range []struct {
		name   string
		disk   disk
		want   string // AuthorizedKeysFile of pi, in the group kiosk; "" for the default
		unread []string
	}{
		{"none", disk{}, "", nil},
		{"drop-in", disk{DefaultFile: "Include /etc/ssh/d/*.conf\nAuthorizedKeysFile b\n", "/etc/ssh/d/1.conf": "Include e\n", "/etc/ssh/e": "AuthorizedKeysFile a\n"}, "a", nil},
		{"group", disk{DefaultFile: "AuthorizedKeysFile a\nMatch Group kiosk\nAuthorizedKeysFile b\n"}, "b", nil},
		{"closed", disk{DefaultFile: "denied"}, "", []string{DefaultFile}},
		{"closed drop-in", disk{DefaultFile: "Include d/*\n", "/etc/ssh/d/x": "denied"}, "", []string{"/etc/ssh/d/x"}},
		{"circle", disk{DefaultFile: "Include sshd_config\n"}, "", nil},
		{"bad pattern", disk{DefaultFile: "Include d/[\nAuthorizedKeysFile a\n"}, "a", []string{"/etc/ssh/d/["}},
		{"too many", many, "", []string{"/etc/ssh/many/*"}},
		{"too many of two", both, "a", []string{"/etc/ssh/two/*"}},
		{"too large", large, "", []string{"/etc/ssh/l/2"}},
	} {
		files, err := Load(t.Context(), c.disk, DefaultFile)
		if err != nil {
			t.Fatal(err)
		}
		config := Evaluate(nil, DefaultFile, files, Connection{User: "pi", Groups: []string{"pi", "kiosk"}})
		got := ""
		if s, ok := config.Get("AuthorizedKeysFile"); ok {
			got = s.Args[0]
		}
		if got != c.want || !slices.Equal(config.Unread, c.unread) {
			t.Errorf("%s: %q, unread %q; want %q, %q", c.name, got, config.Unread, c.want, c.unread)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("too slow")
	cancel(why)
	if _, err := Load(ctx, disk{}, DefaultFile); err != why {
		t.Errorf("after the end: %v", err)
	}
}
