"""Presets: what sources say of well-known kinds of devices. Data only; a preset is the YAML of a source.

Each follows what its makers document; see the table in docs/formats.md. Excluded are what merely counts up (energy
totals, uptimes: name them in `counters` to watch their rates), configuration, and what controls the device.
"""

from __future__ import annotations

from typing import Any

_ON_OFF = {"on": 1.0, "off": 0.0}
_LOCKED = {"lock": 1.0, "locked": 1.0, "unlock": 0.0, "unlocked": 0.0}
_OPEN_CLOSED = {"open": 1.0, "opened": 1.0, "close": 0.0, "closed": 0.0}

PRESETS: dict[str, dict[str, Any]] = {
    "tasmota": {
        "topic": [
            *("tele/{sensor#}/SENSOR", "tele/{sensor#}/STATE", "stat/{sensor#}/STATUS8", "stat/{sensor#}/STATUS10"),
            *("{sensor}/tele/SENSOR", "{sensor}/tele/STATE", "stat/{sensor#}/{channel}", "{sensor}/stat/{channel}"),
        ],
        "ignore": [
            *("*stat/*RESULT", "*stat/*STATUS", "*stat/*STATUS[0-79]", "*stat/*STATUS1[1-9]"),  # 8 and 10 have sensors
            *("*stat/*LOGGING", "*stat/*UPGRADE"),
            *("tele/*/RESULT", "tele/*/INFO?", "tele/*/UPTIME", "tele/*/HASS_STATE", "tele/*/LOGGING", "tele/*/WAKEUP"),
        ],
        "availability": ["tele/{sensor#}/LWT", "{sensor}/tele/LWT"],
        "timestamp": {"trust": False},  # Time is local time without a zone
        "words": _ON_OFF,
        "exclude": [
            *("*.Total*", "*.Yesterday*", "*.Today*", "*.ExportActive*", "*.ImportActive*", "COUNTER.*", "MqttCount"),
            *("UptimeSec", "Sleep", "Wifi.AP", "Wifi.Channel", "Wifi.LinkCount", "*.Id", "*.Endpoint", "*.Device"),
            *("Wifi.SSId", "*.UID", "*.Meter_*", "*.E_in*", "*.E_out*"),
            *("Berry.*", "LedTable", "Fade", "Speed", "Scheme"),
        ],
        "join": 2.0,
    },
    "zigbee2mqtt": {
        "topic": ["zigbee2mqtt/{sensor#}", "zigbee2mqtt/{sensor#}/{channel}"],  # friendly names may have slashes
        "ignore": [
            "zigbee2mqtt/bridge/*",
            "zigbee2mqtt/*/set",
            "zigbee2mqtt/*/set/*",
            "zigbee2mqtt/*/get",
            "zigbee2mqtt/*/get/*",
        ],
        "availability": ["zigbee2mqtt/{sensor#}/availability", "zigbee2mqtt/bridge/state"],
        "words": {**_ON_OFF, **_OPEN_CLOSED, **_LOCKED},
        "exclude": [
            *("energy", "energy_*", "consumption", "produced_energy", "*_count", "elapsed"),
            *("update*", "device.*", "*_id", "action_*"),
        ],
    },
    "shelly": {  # first generation
        "topic": [
            *("shellies/{sensor}/sensor/{channel}", "shellies/{sensor}/status", "shellies/{sensor}/{channel#}"),
        ],
        "ignore": [
            *("shellies/*announce", "shellies/*/info", "shellies/*command*", "shellies/*/input_event/*"),
            "shellies/*/settings*",
        ],
        "availability": ["shellies/{sensor}/online"],
        "timestamp": {"trust": False},  # that of a motion sensor is of the latest motion
        "words": _OPEN_CLOSED,
        "exclude": [
            *("*energy", "*returned_energy", "*/total", "*/total_returned", "*.total"),
            *("*.has_timer", "*.timer_*", "*.transition", "*.effect", "*.hwID"),
        ],
        "join": 2.0,
    },
    "shelly-gen2": {  # and later ones: Plus, Pro, Gen3, Gen4
        "topic": [
            *("{sensor}/status/{channel}", "shellies/{sensor}/status/{channel}"),
            *("{sensor}/events/rpc", "shellies/{sensor}/events/rpc"),
        ],
        "ignore": ["*/status/sys", "*/status/cloud", "*/status/mqtt", "*/status/ws", "*/status/ble", "*/status/eth"],
        "availability": ["{sensor}/online", "shellies/{sensor}/online"],
        "exclude": [
            *(
                "*.id",
                "sys.*",
                "cloud.*",
                "mqtt.*",
                "ws.*",
                "ble.*",
                "*aenergy.*",
                "*_energy.*",
                "emdata:*",
                "em1data:*",
            ),
            *("*.counts.*", "*_ts", "*_at", "*.unixtime", "script:*", "*.transition.*", "*.timer_duration"),
            *("*.packet_id", "*.temperature.tF", "wifi.ssid"),
        ],
        "join": 2.0,
    },
    "esphome": {
        "topic": [
            *("esphome/{sensor}/{component}/{channel}/state", "{sensor}/{component}/{channel}/state"),
            *("esphome/{sensor}/climate/{channel#}/state", "{sensor}/climate/{channel#}/state"),
        ],
        "availability": ["esphome/{sensor}/status", "{sensor}/status"],
        "ignore": [
            *("*/text_sensor/*/state", "*/select/*/state", "*/text/*/state", "*/datetime/*/state", "*/event/*/state"),
            *("*/climate/*/command", "*/climate/*mode/state", "*/climate/*/action/state", "*/climate/*/preset/state"),
        ],
        "exclude": ["uptime", "*_uptime"],
        "words": {**_ON_OFF, **_OPEN_CLOSED, **_LOCKED},
        "join": 2.0,
    },
    "homeassistant-statestream": {
        "topic": "homeassistant/{domain}/{entity}/{channel}",
        "ignore": [
            *("homeassistant/*/last_updated", "homeassistant/*/last_changed", "homeassistant/*/config"),
            *("homeassistant/*_color", "homeassistant/*modes", "homeassistant/*_list", "homeassistant/*/forecast"),
            *("homeassistant/*/friendly_name", "homeassistant/*/unit_of_measurement", "homeassistant/*/icon"),
            *("homeassistant/*/device_class", "homeassistant/*/state_class", "homeassistant/*/entity_id"),
        ],
        "availability": ["homeassistant/status"],
        "sensor": "{domain}.{entity}",
        "words": {**_ON_OFF, **_OPEN_CLOSED, **_LOCKED, "home": 1.0, "not_home": 0.0},
        "exclude": ["supported_features", "min_*", "max_*", "*_step"],
        "join": 2.0,
    },
    "telegraf": {
        "topic": ["telegraf/{sensor}/{plugin}", "telegraf/{plugin}/{sensor}/{channel#}", "telegraf/{sensor}"],
        "ignore": ["telegraf/*/$*"],  # homie's descriptions
        "sensor": "{payload.source|payload.host|sensor}",
        "format": "telegraf",
        "join": 2.0,
    },
    "thingsboard": {
        "topic": ["v1/devices/{sensor}/telemetry", "v1/{sensor}/telemetry"],
        "format": "thingsboard",
    },
    "sparkplug": {
        "topic": "spBv1.0/{group}/{type}/{node#}",
        "ignore": ["spBv1.0/*/NCMD/*", "spBv1.0/*/DCMD/*"],
        "availability": ["spBv1.0/STATE/{host}", "STATE/{host}"],
        "sensor": "{group}/{node}",
        "format": "sparkplug",
        "exclude": ["Properties/*", "Node Info/*", "Device Info/*"],
    },
    "ttn": {  # The Things Stack, version 3
        "topic": "v3/{application}/devices/{sensor}/up",
        "root": "uplink_message.decoded_payload",
    },
    "chirpstack": {  # 3 and 4
        "topic": ["application/{application}/device/{sensor}/event/up", "application/{application}/device/{sensor}/rx"],
        "root": "object|objectJSON",
    },
    "aws-shadow": {
        "topic": [
            *("$aws/things/{sensor}/shadow/update", "$aws/things/{sensor}/shadow/update/accepted"),
            *("$aws/things/{sensor}/shadow/name/+/update", "$aws/things/{sensor}/shadow/name/+/update/accepted"),
        ],
        "root": "state.reported",
    },
    "zwave-js": {  # Z-Wave JS UI, whatever its payload type
        "topic": "zwave/{sensor}/{channel#}",
        "ignore": ["zwave/_*", "zwave/*/nodeinfo", "zwave/*/set", "zwave/driver/*"],
        "availability": ["zwave/{sensor}/status"],
        "root": "value",
        "words": {**_ON_OFF, **_OPEN_CLOSED, **_LOCKED},
        "join": 2.0,
    },
    "homie": {  # 3 to 5
        "topic": ["homie/5/{sensor}/{channel#}", "homie/{sensor}/{channel#}"],
        "ignore": ["homie/*$*", "homie/*/set"],
        "availability": ["homie/5/{sensor}/$state", "homie/{sensor}/$state"],
        "words": {**_ON_OFF, **_OPEN_CLOSED},
        "join": 2.0,
    },
    "victron": {  # dbus-mqtt of Venus OS
        "topic": "N/{portal}/{service}/{instance}/{channel#}",
        "ignore": ["N/*/keepalive", "N/*/settings/*", "N/*/Settings/*", "N/*/Mgmt/*", "N/*/History/*"],
        "sensor": "{portal}/{service}/{instance}",
        "root": "value",
        "exclude": ["*Energy*", "Yield/*", "*Instance", "Serial", "Connected", "Position", "Devices/*"],
        "join": 2.0,
    },
    "rtl433": {  # rtl_433 -F mqtt
        "topic": "rtl_433/{host}/events",
        "availability": ["rtl_433/{host}/availability"],
        "sensor": "{payload.model}-{payload.id|payload.channel|host}",
        "timestamp": {"trust": False},  # local time without a zone
        "exclude": ["freq*", "channel", "subtype", "button", "noise", "*_raw", "*_counter", "rain_mm", "rain_in"],
    },
    "openmqttgateway": {  # and Theengs Gateway
        "topic": ["home/{gateway}/BTtoMQTT/{sensor}", "home/{gateway}/RTL_433toMQTT/{sensor#}"],
        "availability": ["home/{gateway}/LWT"],
        "exclude": ["duration", "channel", "subtype", "tempf", "rain_mm"],
    },
    "hubitat": {
        "topic": "hubitat/{hub}/{sensor}/attributes/{channel}/value",
        "words": {**_ON_OFF, **_OPEN_CLOSED, **_LOCKED, "active": 1.0, "inactive": 0.0},
        "join": 2.0,
    },
    "meshtastic": {  # its JSON; the topic names the gateway
        "topic": "msh/{region#}/json/{mesh}/{gateway}",
        "sensor": "{payload.from}",
        "root": "payload",
        "exclude": ["hardware", "role", "*_i", "precision_bits", "node_broadcast*", "neighbors*", "text"],
    },
    "neuron": {  # of EMQX, tags format and values format
        "topic": ["/neuron/{application}", "/neuron/{application}/{driver}/{collection}"],
        "sensor": "{payload.node}",
        "join": 2.0,
    },
    "opcua": {  # PubSub in JSON
        "topic": ["opcua/json/data/{publisher}/{writers}", "opcua/json/data/{publisher}/{writers}/{writer}"],
        "sensor": "{publisher}/{payload.DataSetWriterName|payload.DataSetWriterId|writers}",
    },
}
