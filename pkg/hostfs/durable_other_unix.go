//go:build unix && !linux

package hostfs

var publishers = []publisher{link}
