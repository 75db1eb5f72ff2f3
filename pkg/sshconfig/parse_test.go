package sshconfig

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a-b/x", "a/x", "a/.hidden", "a/[", "b/y", ".c/x"} {
		w.write(t, name, "")
	}
	for pattern, want := range map[string]string{
		"*/x": "a-b/x a/x", "a/*": "a/[ a/x", "a/.*": "a/.hidden", "[!b]/*": "a/[ a/x", "a/[": "a/[", "a/x": "a/x", ".c/*": ".c/x", "nothing*": "", "nothing": "",
	} {
		var got []string
		for _, path := range glob(w.home + "/" + pattern) {
			name, err := filepath.Rel(w.home, path)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, filepath.ToSlash(name))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

func TestParseAnswer(t *testing.T) {
	for _, bad := range []string{"", "user a\nport 22\n", "hostname a\nuser b\nport 22\nbatchmode perhaps\n"} {
		if v, err := parseAnswer([]byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, v)
		}
	}
}

// FuzzParse: nothing that a file may hold makes parsing or evaluating panic, and
// a file that is taken says where each value comes from.
func FuzzParse(f *testing.F) {
	for _, c := range corpus {
		f.Add([]byte(c.config))
	}
	f.Add([]byte("Host a\nMatch host a user b\nIdentityFile \"a\\\"b\n'\nx=\n=y\n\"\n"))
	place := regexp.MustCompile(`^config:[0-9]+$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &evaluation{
			r:     &Resolver{Getenv: func(string) string { return "" }},
			local: local{user: "u", uid: "1", home: "/h", hostname: "l"},
			alias: "pi", host: "pi", values: make(map[string]value),
		}
		if e.run([]*file{{user: true, lines: parse("config", data)}}) != nil {
			return
		}
		h, err := e.result()
		if err != nil {
			return
		}
		for keyword, at := range h.Sources {
			if !place.MatchString(at) {
				t.Errorf("%s: source %q", keyword, at)
			}
		}
		if h.HostName == "" && !strings.Contains(strings.ToLower(string(data)), "hostname") || h.Port < 1 || h.Port > 65535 {
			t.Errorf("%+v", h)
		}
	})
}

// FuzzAnswer: neither does anything that an ssh may print.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("hostname a\nuser b\nport 22\nidentityfile ~/x\nproxyjump a@b:3,[::1]\nhostkeyalgorithms \nuserknownhostsfile \nconnecttimeout none\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &evaluation{r: new(Resolver), local: local{home: "/h"}, alias: "pi", asked: true}
		var err error
		if e.values, err = parseAnswer(data); err != nil {
			return
		}
		e.jump, _ = parseJump(e.get("proxyjump", "none"))
		_, _ = e.result()
	})
}

func TestResolveDefaults(t *testing.T) {
	h, err := (&Resolver{Home: "/home/x", Getenv: func(string) string { return "" }}).Resolve(context.Background(), Request{Host: "Pi.Local", ConfigFile: "NONE"})
	if err != nil {
		t.Fatal(err)
	}
	if h.Alias != "Pi.Local" || h.HostName != "pi.local" || h.IdentityFiles[0] != "/home/x/.ssh/id_rsa" ||
		len(h.IdentityFiles) != 5 || h.IdentityAgent != defaultAgent || h.HostKeyAlgorithms != nil || len(h.Sources) != 0 {
		t.Errorf("%+v", h)
	}
}
