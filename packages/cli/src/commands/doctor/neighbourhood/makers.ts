/** Where a maker's routers have a setting, in the words of their menus, and the public page that says so. */
export interface Place {
  readonly path: string
  /** The URL of the page. */
  readonly source: string
}

/** What is known of the routers of one maker. */
export interface Maker {
  /** The name of the maker or of its product, for display. */
  readonly name: string
  /** Matches the manufacturer in the description of such a router; if it names none, the model or the name. */
  readonly pattern: RegExp
  /** Where UPnP is turned on, or a machine is allowed to use it. */
  readonly upnp?: Place
  /** Where a port is forwarded by hand. */
  readonly forward?: Place
}

/** The makers of routers with menus that a public page documents. A setting without such a page is left out. */
export const makers: readonly Maker[] = [
  {
    name: 'FRITZ!Box',
    pattern: /\bAVM\b|^FRITZ!/i,
    upnp: {
      path: 'Internet > Permit Access > Port Sharing, where a device is allowed to open ports by itself',
      source: 'https://tippscout.de/?p=1884'
    },
    forward: {
      path: 'Internet > Permit Access > Port Sharing',
      source: 'https://service.avm.de/help/en/FRITZ-Box-7530/019p2/hilfe_portfreigabe'
    }
  },
  {
    name: 'TP-Link',
    pattern: /\bTP-?LINK\b/i,
    upnp: {
      path: 'Advanced > NAT Forwarding > UPnP',
      source: 'https://community.tp-link.com/us/home/kb/detail/348'
    },
    forward: {
      path: 'NAT Forwarding > Virtual Servers',
      source: 'https://community.tp-link.com/en/home/stories/detail/714'
    }
  },
  {
    name: 'NETGEAR',
    pattern: /\bNETGEAR\b/i,
    upnp: {
      path: 'Advanced > Advanced Setup > UPnP',
      source: 'https://www.easymanua.ls/netgear/wndr4500/manual?p=107'
    },
    forward: {
      path: 'Advanced > Advanced Setup > Port Forwarding/Port Triggering',
      source: 'https://www.manualslib.com/manual/1088423/Netgear-Nighthawk-X8-5.html?page=170'
    }
  },
  {
    name: 'ASUS',
    pattern: /\bASUS(?:TeK)?\b/i,
    forward: {
      path: 'Virtual Server / Port Forwarding',
      source: 'https://www.rsmanuals.com/20230/asus-rt-ac53/page-49/'
    }
  },
  {
    name: 'D-Link',
    pattern: /\bD-Link\b/i,
    forward: {
      path: 'Advanced > Virtual Server',
      source: 'http://support.dlink.com/emulators/dgl4300/help_advanced.html'
    }
  },
  {
    name: 'MikroTik',
    pattern: /\bMikroTik\b|^RouterOS\b/i,
    upnp: {
      path: '/ip upnp (enabled=yes)',
      source: 'https://help.mikrotik.com/docs/display/ROS/UPnP'
    }
  },
  {
    name: 'OpenWrt',
    pattern: /\bOpenWrt\b/i,
    upnp: {
      path: '/etc/config/upnpd (option enabled 1), of the package miniupnpd',
      source: 'https://openwrt.org/docs/guide-user/firewall/upnp/miniupnpd'
    },
    forward: {
      path: '/etc/config/firewall, as a redirect',
      source: 'https://wiki.openwrt.org/doc/howto/user.beginner.lazy'
    }
  },
  {
    name: 'pfSense',
    pattern: /\bpfSense\b/i,
    upnp: {
      path: 'Services > UPnP IGD & PCP',
      source: 'https://docs.netgate.com/pfsense/en/latest/services/upnp.html'
    }
  },
  {
    name: 'eero',
    pattern: /\beero\b/i,
    upnp: {
      path: 'eero app > Settings > Advanced > UPnP',
      source: 'https://support.eero.com/hc/en-us/articles/208229046'
    },
    forward: {
      path: 'eero app > Settings > Advanced > Reservations and Port Forwarding',
      source: 'https://support.eero.com/hc/en-us/articles/208229046'
    }
  },
  {
    name: 'Google Wifi',
    pattern: /\bGoogle\b|\bNest Wifi\b/i,
    upnp: {
      path: 'Google Home app > Wi-Fi > Settings > Advanced Networking > UPnP',
      source: 'https://support.google.com/googlenest/answer/6274337'
    },
    forward: {
      path: 'Google Home app > Wi-Fi > Settings > Advanced Networking > Port management',
      source: 'https://support.google.com/googlenest/answer/6274503'
    }
  },
  {
    name: 'ARRIS SURFboard',
    pattern: /\bARRIS\b|\bSURFboard\b/i,
    upnp: {
      path: 'SURFboard Central app > My Network > Network Management > Network Settings > General Setting',
      source:
        'https://arris.my.salesforce-sites.com/consumers/articles/General_FAQs/SURFBoard-Central-UPnP-Setup/?l=en_US&fs=RelatedArticle'
    }
  },
  {
    name: 'Freebox',
    pattern: /\bFreebox\b/i,
    upnp: {
      path: 'Internet > Configurer mon routeur Freebox > UPNP activé',
      source: 'https://blog.koreus.com/la-freebox-est-compatible-upnp'
    }
  },
  {
    name: 'Actiontec',
    pattern: /\bActiontec\b/i,
    upnp: {
      path: 'Advanced > Universal Plug and Play',
      source: 'https://www.manualsdir.com/manuals/36589/actiontec-electronic-mi424-wr.html?page=121'
    }
  },
  {
    name: 'ZyXEL',
    pattern: /\bZyXEL\b/i,
    upnp: {
      path: 'Management > UPnP > General',
      source: 'https://manualsdump.com/en/manuals/zyxel_communications-nbg4115/126887/171'
    }
  },
  {
    name: 'ZTE',
    pattern: /\bZTE\b|^ZXHN\b/i,
    upnp: {
      path: 'Access Management > UPnP',
      source: 'https://19216811.live/zte-zxhn-h108l-manual/12'
    }
  },
  {
    name: 'Alta Labs',
    pattern: /\bAlta Labs\b/i,
    upnp: {
      path: 'Network > Route10 > WAN > UPnP',
      source: 'https://help.alta.inc/hc/en-us/articles/30505927748891-How-to-Enable-UPnP-and-Use-UPnP-Strict-Mode'
    }
  }
]
