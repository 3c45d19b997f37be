package eql

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/weir-eql/weir/event"
)

// cidrTest holds for addresses inside one of its blocks.
type cidrTest struct{ blocks addrSet }

// addrSet is a set of addresses.
type addrSet interface {
	Contains(addr netip.Addr) bool
}

// blockList is a set that is looked through one block after the other.
type blockList []netip.Prefix

// Contains reports whether one of the blocks has addr.
func (l blockList) Contains(addr netip.Addr) bool {
	for _, p := range l {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func (t cidrTest) test(v event.Value) bool {
	if !isText(v) {
		return false
	}
	addr, err := netip.ParseAddr(v.Str())
	return err == nil && t.blocks.Contains(addr.Unmap().WithZone(""))
}

// newCIDRTest returns the test for blocks, each an address with or without a mask: by a prefix tree where tree is set.
func newCIDRTest(blocks []string, tree bool) (cidrTest, error) {
	var list blockList
	for _, text := range blocks {
		p, err := parseBlock(text)
		if err != nil {
			return cidrTest{list}, err
		}
		list = append(list, p)
		// Elasticsearch keeps IPv4 addresses inside ::ffff:0:0/96, so that a wide IPv6 block has them all.
		if p.Addr().Is6() && p.Bits() <= 96 && p.Contains(netip.AddrFrom16(netip.AddrFrom4([4]byte{}).As16())) {
			list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 0))
		}
	}
	if !tree {
		return cidrTest{list}, nil
	}
	t := &bart.Lite{}
	for _, p := range list {
		t.Insert(p)
	}
	return cidrTest{t}, nil
}

func parseBlock(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is not an IP address or a block of addresses", text)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is not an IP address or a block of addresses", text)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
