package hostfs

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"pi-key-tools/pkg/strictmodes"
)

// parseLs reads the first four words of what "ls -ldn" prints: mode, number of
// links, owner and group (POSIX ls, STDOUT). What follows, which holds the name,
// is not looked at.
func parseLs(line string) (strictmodes.Stat, bool) {
	var st strictmodes.Stat
	w := strings.Fields(line)
	if len(w) < 5 || len(w[0]) < 10 || len(w[0]) > 11 {
		return st, false
	}
	if len(w[0]) == 11 && !strings.Contains("+.@", w[0][10:]) { // ACL, SELinux, macOS
		return st, false
	}
	switch w[0][0] {
	case '-':
	case 'd':
		st.Mode = fs.ModeDir
	case 'l':
		st.Mode = fs.ModeSymlink
	case 'p':
		st.Mode = fs.ModeNamedPipe
	case 's':
		st.Mode = fs.ModeSocket
	case 'b':
		st.Mode = fs.ModeDevice
	case 'c':
		st.Mode = fs.ModeDevice | fs.ModeCharDevice
	default:
		st.Mode = fs.ModeIrregular
	}
	for i, c := range []byte(w[0][1:10]) {
		bit := fs.FileMode(1) << (8 - i)
		special := []fs.FileMode{fs.ModeSetuid, fs.ModeSetgid, fs.ModeSticky}[i/3]
		switch {
		case c == '-':
		case c == "rwx"[i%3]:
			st.Mode |= bit
		case i%3 == 2 && c == "sst"[i/3]:
			st.Mode |= bit | special
		case i%3 == 2 && c == "SST"[i/3]:
			st.Mode |= special
		default:
			return st, false
		}
	}
	var errs [3]error
	st.Nlink, errs[0] = strconv.Atoi(w[1])
	st.UID, errs[1] = strconv.Atoi(w[2])
	st.GID, errs[2] = strconv.Atoi(w[3])
	return st, errors.Join(errs[:]...) == nil
}

// LsMode returns the first word that "ls -ldn" prints, without its eleventh
// character.
func LsMode(mode fs.FileMode) string {
	m := []byte("----------")
	switch mode.Type() {
	case 0:
	case fs.ModeDir:
		m[0] = 'd'
	case fs.ModeSymlink:
		m[0] = 'l'
	case fs.ModeNamedPipe:
		m[0] = 'p'
	case fs.ModeSocket:
		m[0] = 's'
	case fs.ModeDevice:
		m[0] = 'b'
	case fs.ModeDevice | fs.ModeCharDevice:
		m[0] = 'c'
	default:
		m[0] = '?'
	}
	for i := range 9 {
		if mode&(1<<(8-i)) != 0 {
			m[1+i] = "rwxrwxrwx"[i]
		}
	}
	for i, special := range []fs.FileMode{fs.ModeSetuid, fs.ModeSetgid, fs.ModeSticky} {
		if mode&special != 0 {
			x := &m[3+3*i]
			*x = map[bool]byte{true: "SST"[i], false: "sst"[i]}[*x == '-']
		}
	}
	return string(m)
}
