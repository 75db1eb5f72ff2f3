// Package unixpath tells of the paths of a machine of which links may stand
// anywhere on the way, without looking there.
package unixpath

import (
	"path"
	"strings"
)

// Climbs reports whether a path has a "..": that is no way back where a link stands
// before it.
func Climbs(p string) bool { return strings.Contains(p+"/", "/../") }

// Clean is path.Clean for an absolute path, but leaves one that climbs as it is.
func Clean(p string) string {
	if Climbs(p) {
		return p
	}
	return path.Clean(p)
}

// IsClean reports whether a path is absolute and as path.Clean would leave it.
func IsClean(p string) bool {
	rest, ok := strings.CutPrefix(p, "/")
	if !ok || rest == "" {
		return ok
	}
	for name := range strings.SplitSeq(rest, "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	return true
}

// Within reports whether p is dir or below it; both are clean.
func Within(dir, p string) bool {
	rest, ok := strings.CutPrefix(p, dir)
	return ok && (rest == "" || rest[0] == '/' || dir == "/")
}
