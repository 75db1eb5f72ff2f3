//go:build unix && !linux

package cli

func keepAll() bool { return false }
